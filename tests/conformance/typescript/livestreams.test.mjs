// The official TypeScript SDK through every operation. Run by test_typescript_sdk.py: `node --test`, with the path of a
// JSON file in ACCESS that says where the API is and how to make an encoder come and go.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import Cloudflare from 'cloudflare';

const access = JSON.parse(readFileSync(process.env.ACCESS, 'utf8'));
const { account_id, app_id } = access;
const client = new Cloudflare({ apiToken: access.api_token, baseURL: access.base_url, maxRetries: 0 });
const livestreams = client.realtimeKit.livestreams;
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

async function drive(path) {
  const response = await fetch(`${access.drive_url}/${path}`, { method: 'POST' });
  assert.equal(response.status, 200);
  return response.json();
}

async function newMeeting() {
  const created = await client.post(`/accounts/${account_id}/realtime/kit/${app_id}/meetings`, { body: { title: 'TS' } });
  return created.data.id;
}

test('createIndependentLivestream', async () => {
  const { data, success } = await livestreams.createIndependentLivestream(app_id, { account_id, name: 'prdmmp-xhycsl' });
  assert.equal(success, true);
  assert.equal(data.status, 'INVOKED');
  assert.equal(data.disabled, false);
  assert.equal(data.name, 'prdmmp-xhycsl');
  assert.equal(data.stream_key.length, 64);
  assert.match(data.playback_url, /^http:\/\/.*\/[0-9a-f]{32}\/manifest\/video\.m3u8$/);
  const unnamed = await livestreams.createIndependentLivestream(app_id, { account_id });
  assert.equal(unnamed.data.name, null);
});

test('getAllLivestreams', async () => {
  const created = await livestreams.createIndependentLivestream(app_id, { account_id });
  const { data } = await livestreams.getAllLivestreams(app_id, {
    account_id, per_page: 1, page_no: 1, sort_order: 'DSC', exclude_meetings: true, status: 'INVOKED',
    start_time: '2023-07-15T11:48:34.753Z',
  });
  assert.equal(data.id, created.data.id);
  assert.equal(data.disabled, '');
  assert.match(data.created_at, ISO);
  assert.equal(data.paging.start_offset, 1);
  assert.equal(data.livestreams.length, 1);
});

test('a broadcast: getActiveLivestreamsForLivestreamId, getLivestreamSessionForLivestreamId, getLivestreamSessionDetailsForSessionId', async () => {
  const { data: created } = await livestreams.createIndependentLivestream(app_id, { account_id });
  const { session_id } = await drive(`publish/${created.stream_key}`);
  await drive(`progress/${created.id}/12.5/31.25`);
  const active = (await livestreams.getActiveLivestreamsForLivestreamId(app_id, created.id, { account_id })).data;
  assert.equal(active.livestream.status, 'LIVE');
  assert.deepEqual([active.session.ingest_seconds, active.session.viewer_seconds], ['12.5', '31.25']);
  await drive(`close/${created.id}`);
  const shown = (await livestreams.getLivestreamSessionForLivestreamId(app_id, created.id, { account_id, per_page: 5 })).data;
  assert.equal(shown.livestream.status, 'IDLE');
  assert.equal(shown.session.id, session_id);
  assert.deepEqual([shown.session.ingest_seconds, shown.session.viewer_seconds], [12.5, 31.25]);
  assert.equal(shown.paging.total_count, 1);
  const details = (await livestreams.getLivestreamSessionDetailsForSessionId(app_id, session_id, { account_id })).data;
  assert.deepEqual([details.ingest_seconds, details.viewer_seconds], [12, 31]);
  assert.match(details.stopped_time, ISO);
});

test('startLivestreamingAMeeting, getMeetingActiveLivestreams, stopLivestreamingAMeeting', async () => {
  const meetingId = await newMeeting();
  const started = await livestreams.startLivestreamingAMeeting(app_id, meetingId, {
    account_id, name: 'mix', video_config: { width: 1280, height: 720 },
  });
  assert.equal(started.data.status, 'INVOKED');
  const active = (await livestreams.getMeetingActiveLivestreams(app_id, meetingId, { account_id })).data;
  assert.deepEqual([active.id, active.meeting_id], [started.data.id, meetingId]);
  const stopped = await livestreams.stopLivestreamingAMeeting(app_id, meetingId, { account_id });
  assert.equal(stopped.data.message, 'Stopped live stream successfully');
});

test('getLivestreamAnalyticsComplete, getOrgAnalytics', async () => {
  const { data } = await livestreams.getLivestreamAnalyticsComplete(app_id, {
    account_id, start_time: '2023-07-15T11:48:34.753Z', end_time: '2123-07-15T11:48:34.753Z',
  });
  for (const value of [data.count, data.total_ingest_seconds, data.total_viewer_seconds]) assert.ok(Number.isInteger(value));
  const org = (await livestreams.getOrgAnalytics(app_id, { account_id, start_date: '2022-09-01', end_date: '2022-09-22' })).data;
  assert.equal(org.session_stats.day_stats.length, 22);
  assert.equal(org.recording_stats.day_stats[0].day, '2022-09-01');
});

test('refusals are typed, and .errors is there', async () => {
  const unknown = '0d5d7b5e-0000-4000-8000-000000000000';
  await assert.rejects(livestreams.getLivestreamSessionForLivestreamId(app_id, unknown, { account_id }), (error) => {
    assert.ok(error instanceof Cloudflare.NotFoundError);
    assert.deepEqual(error.errors, [{ code: 404, message: 'The livestream was not found' }]);
    return true;
  });
  const stranger = new Cloudflare({ apiToken: 'wrong', baseURL: access.base_url, maxRetries: 0 });
  await assert.rejects(
    stranger.realtimeKit.livestreams.getAllLivestreams(app_id, { account_id }), Cloudflare.AuthenticationError,
  );
  await assert.rejects(
    livestreams.createIndependentLivestream(app_id, { account_id, name: 'not a name' }), Cloudflare.BadRequestError,
  );
});
