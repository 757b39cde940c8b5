// The official TypeScript SDK's meetings, participants, presets and sessions. Run by test_typescript_sdk.py.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import Cloudflare from 'cloudflare';

const access = JSON.parse(readFileSync(process.env.ACCESS, 'utf8'));
const { account_id, app_id } = access;
const client = new Cloudflare({ apiToken: access.api_token, baseURL: access.base_url, maxRetries: 0 });
const { meetings, presets, sessions, activeSession } = client.realtimeKit;

async function newMeeting(settings = {}) {
  return (await meetings.create(app_id, { account_id, title: 'TS', ...settings })).data;
}

function somebody(meeting, custom_participant_id = 'user-1', preset_name = 'group_call_host') {
  return meetings.addParticipant(app_id, meeting.id, { account_id, custom_participant_id, preset_name, name: 'Ada' });
}

test('meetings: create, getMeetingById, updateMeetingById', async () => {
  const made = await newMeeting({ live_stream_on_start: true, session_keep_alive_time_in_secs: 90 });
  assert.equal((await meetings.getMeetingById(app_id, made.id, { account_id })).data.title, 'TS');
  const changed = (await meetings.updateMeetingById(app_id, made.id, { account_id, status: 'INACTIVE' })).data;
  assert.deepEqual([changed.status, changed.live_stream_on_start], ['INACTIVE', true]);
});

test('participants: add, get, list, edit, refresh, delete', async () => {
  const meeting = await newMeeting();
  const added = (await somebody(meeting)).data;
  assert.equal(added.preset_name, 'group_call_host');
  assert.equal(added.token.split('.').length, 3);
  const { data, paging } = await meetings.getMeetingParticipants(app_id, meeting.id, { account_id, per_page: 5 });
  assert.deepEqual([data.map((one) => one.id), paging.total_count], [[added.id], 1]);
  const change = { account_id, name: 'Grace', preset_name: 'viewer' };
  const edited = (await meetings.editParticipant(app_id, meeting.id, added.id, change)).data;
  assert.deepEqual([edited.name, edited.preset_name], ['Grace', 'viewer']);
  const { token } = (await meetings.refreshParticipantToken(app_id, meeting.id, added.id, { account_id })).data;
  assert.notEqual(token, added.token);
  const gone = (await meetings.deleteMeetingParticipant(app_id, meeting.id, added.id, { account_id })).data;
  assert.equal(gone.custom_participant_id, 'user-1');
  await assert.rejects(meetings.getMeetingParticipant(app_id, meeting.id, added.id, { account_id }), { status: 404 });
});

test('presets: get, getPresetById', async () => {
  const { data } = await presets.get(app_id, { account_id });
  const host = data.find((one) => one.name === 'host');
  const found = (await presets.getPresetById(app_id, host.id, { account_id })).data;
  assert.equal(found.permissions.media.video.can_produce, 'ALLOWED');
});

test('sessions and the active one', async () => {
  const meeting = await newMeeting();
  await assert.rejects(activeSession.getActiveSession(app_id, meeting.id, { account_id }), (error) => {
    assert.equal(error.status, 404);
    assert.equal(error.errors[0].message, `No active session found for meeting_id ${meeting.id}`);
    return true;
  });
  const { token } = (await somebody(meeting)).data;
  const joined = await fetch(`${access.drive_url}/join/${meeting.id}/${token}`, { method: 'POST' });
  assert.equal(joined.status, 200);
  const active = (await activeSession.getActiveSession(app_id, meeting.id, { account_id })).data;
  assert.deepEqual([active.status, active.live_participants], ['LIVE', 1]);
  const listed = await sessions.getSessions(app_id, { account_id, associated_id: meeting.id, sort_by: 'createdAt' });
  assert.deepEqual(listed.data.sessions.map((one) => one.id), [active.id]);
  assert.equal((await sessions.getSessionDetails(app_id, active.id, { account_id })).data.session.id, active.id);
  const { participants } = (await sessions.getSessionParticipants(app_id, active.id, { account_id })).data;
  assert.deepEqual(participants.map((one) => one.display_name), ['Ada']);
  const whom = { account_id, custom_participant_ids: ['user-1'], participant_ids: [] };
  assert.equal((await activeSession.kickParticipants(app_id, meeting.id, whom)).data.participants[0].name, 'Ada');
  const all = await activeSession.kickAllParticipants(app_id, meeting.id, { account_id });
  assert.equal(all.data.kicked_participants_count, 0);
});
