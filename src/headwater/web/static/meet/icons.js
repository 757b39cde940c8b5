// Pictures of the buttons, drawn on a grid of 24.

const SVG = "http://www.w3.org/2000/svg";
const MIC = "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 5 5.900V20h2v-3.100A6 6 0 0 0 18 11h-2a4 4 0 0 1-8 0z";
const CAMERA = "M4 6h11a1 1 0 0 1 1 1v3l5-3v10l-5-3v3a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z";
const SLASH = "M3.300 4.700 4.700 3.300 20.700 19.300 19.300 20.700z";
const PATHS = {
  mic: [MIC],
  micOff: [MIC, SLASH],
  camera: [CAMERA],
  cameraOff: [CAMERA, SLASH],
  screen: ["M3 4h18a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1h-7v2h3v1H7v-1h3v-2H3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm9 3-4 4h2.500v3h3v-3H16z"],
  leave: ["M12 9c-4.500 0-8 1.300-10 3.300l.3 2.900c.1.600.6 1 1.200.9l3.600-.7c.5-.1.900-.500.900-1v-1.700c2.600-.7 5.400-.7 8 0v1.700c0 .500.4.900.9 1l3.600.7c.6.1 1.100-.3 1.200-.9l.3-2.900C20 10.300 16.500 9 12 9z"],
  live: ["M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM6.300 4.900l1.400 1.400a8 8 0 0 0 0 11.400l-1.400 1.400a10 10 0 0 1 0-14.200zm11.400 0a10 10 0 0 1 0 14.200l-1.400-1.400a8 8 0 0 0 0-11.400z"],
  people: ["M9 5a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zm-7 14c0-3.300 3-5.500 7-5.500s7 2.200 7 5.500v1H2zM16 5.500a3 3 0 0 1 0 6 5 5 0 0 0 0-6zm1.500 8.200c2.700.6 4.500 2.500 4.500 5.300v1h-4v-1c0-2-.5-3.800-1.500-5.200z"],
  settings: ["M4 7h9.200a3 3 0 0 1 5.600 0H20v2h-1.200a3 3 0 0 1-5.600 0H4zm0 8h1.200a3 3 0 0 1 5.600 0H20v2h-9.200a3 3 0 0 1-5.600 0H4z"],
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const path of PATHS[name]) {
    svg.append(document.createElementNS(SVG, "path"));
    svg.lastChild.setAttribute("d", path);
  }
  svg.classList.add(name);
  return svg;
}
