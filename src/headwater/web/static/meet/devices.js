// Cameras, microphones and screens.

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

/** What of the devices is wanted; an id of null is the browser's choice. */
export const choice = { camera: null, microphone: null, speaker: null, original: false };

const media = () => {
  if (navigator.mediaDevices) return navigator.mediaDevices;
  throw new DOMException("this page is not a secure context", "InsecureContextError");
};

const constraints = {
  video: () => ({ ...VIDEO, ...(choice.camera ? { deviceId: { exact: choice.camera } } : {}) }),
  audio: () => ({
    // Music is not noise: who wants the original sound gets it as the microphone hears it.
    echoCancellation: !choice.original,
    noiseSuppression: !choice.original,
    autoGainControl: !choice.original,
    ...(choice.microphone ? { deviceId: { exact: choice.microphone } } : {}),
  }),
};

/** A track of the chosen device; `kind` is `audio` or `video`. */
export async function open(kind) {
  const stream = await media().getUserMedia({ [kind]: constraints[kind]() });
  return stream.getTracks()[0];
}

/** Both, asked for in one question of the browser; what cannot be had is an error in its place. */
export async function openBoth() {
  try {
    const stream = await media().getUserMedia({ audio: constraints.audio(), video: constraints.video() });
    return { audio: stream.getAudioTracks()[0], video: stream.getVideoTracks()[0] };
  } catch {
    const [audio, video] = await Promise.allSettled([open("audio"), open("video")]);
    return { audio: audio.value ?? audio.reason, video: video.value ?? video.reason };
  }
}

/** A screen, a window or a tab, with its sound where the browser gives it: [video, audio or null]. */
export async function openScreen() {
  const stream = await media().getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
  const [video] = stream.getVideoTracks();
  video.contentHint = "detail";
  return { video, audio: stream.getAudioTracks()[0] ?? null };
}

export const canShareScreen = () => Boolean(navigator.mediaDevices?.getDisplayMedia);

/** The devices there are: {camera, microphone, speaker}, each a list of {id, label}. */
export async function list() {
  const found = { camera: [], microphone: [], speaker: [] };
  const kinds = { videoinput: "camera", audioinput: "microphone", audiooutput: "speaker" };
  for (const each of (await navigator.mediaDevices?.enumerateDevices()) ?? []) {
    const of = found[kinds[each.kind]];
    if (each.deviceId) of?.push({ id: each.deviceId, label: each.label || `${kinds[each.kind]} ${of.length + 1}` });
  }
  return found;
}

/** How loud a microphone is, ten times a second, from 0 to 1. */
export class Meter {
  #context = null;
  #timer = null;

  constructor(track, show) {
    try {
      this.#context = new AudioContext();
    } catch {
      return; // no sound hardware: no level
    }
    const analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      if (this.#context.state === "suspended") this.#context.resume();
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
      // -60 dBFS is silence to an ear, 0 dBFS is as loud as it gets.
      show(Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-12)) / 60)));
    }, 100);
  }

  stop() {
    clearInterval(this.#timer);
    this.#context?.close();
  }
}
