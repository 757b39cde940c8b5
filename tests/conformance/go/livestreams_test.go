// The official Go SDK through every operation, as the documentation's examples call it. Run by test_go_sdk.py, with the
// path of a JSON file in ACCESS that says where the API is and how to make an encoder come and go.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/cloudflare/cloudflare-go/v6"
	"github.com/cloudflare/cloudflare-go/v6/option"
	"github.com/cloudflare/cloudflare-go/v6/realtime_kit"
)

type access struct {
	BaseURL   string `json:"base_url"`
	DriveURL  string `json:"drive_url"`
	APIToken  string `json:"api_token"`
	AccountID string `json:"account_id"`
	AppID     string `json:"app_id"`
}

var server access
var client *cloudflare.Client

func TestMain(m *testing.M) {
	content, err := os.ReadFile(os.Getenv("ACCESS"))
	if err != nil {
		panic(err.Error())
	}
	if err := json.Unmarshal(content, &server); err != nil {
		panic(err.Error())
	}
	client = cloudflare.NewClient(
		option.WithBaseURL(server.BaseURL), option.WithAPIToken(server.APIToken), option.WithMaxRetries(0),
	)
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func drive(t *testing.T, path string) map[string]string {
	t.Helper()
	response, err := http.Post(server.DriveURL+path, "", nil)
	must(t, err)
	defer response.Body.Close()
	equal(t, response.StatusCode, 200)
	var answer map[string]string
	must(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer
}

func create(t *testing.T) realtime_kit.LivestreamNewIndependentLivestreamResponseData {
	t.Helper()
	response, err := client.RealtimeKit.Livestreams.NewIndependentLivestream(
		context.TODO(), server.AppID, realtime_kit.LivestreamNewIndependentLivestreamParams{
			AccountID: cloudflare.F(server.AccountID), Name: cloudflare.F("prdmmp-xhycsl"),
		},
	)
	must(t, err)
	equal(t, response.Success, true)
	return response.Data
}

func meeting(t *testing.T) string {
	t.Helper()
	var answer struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	path := "accounts/" + server.AccountID + "/realtime/kit/" + server.AppID + "/meetings"
	must(t, client.Post(context.TODO(), path, map[string]string{"title": "Go"}, &answer))
	return answer.Data.ID
}

func TestNewIndependentLivestream(t *testing.T) {
	data := create(t)
	equal(t, data.Status, realtime_kit.LivestreamNewIndependentLivestreamResponseDataStatusInvoked)
	equal(t, data.Name, "prdmmp-xhycsl")
	equal(t, data.Disabled, false)
	equal(t, len(data.StreamKey), 64)
}

func TestGetAllLivestreams(t *testing.T) {
	created := create(t)
	response, err := client.RealtimeKit.Livestreams.GetAllLivestreams(
		context.TODO(), server.AppID, realtime_kit.LivestreamGetAllLivestreamsParams{
			AccountID: cloudflare.F(server.AccountID),
			PerPage:   cloudflare.F(int64(1)),
			SortOrder: cloudflare.F(realtime_kit.LivestreamGetAllLivestreamsParamsSortOrderDsc),
		},
	)
	must(t, err)
	equal(t, response.Data.ID, created.ID)
	equal(t, response.Data.Disabled, "")
	equal(t, response.Data.CreatedAt.IsZero(), false)
	equal(t, response.Data.Paging.StartOffset, 1)
}

func TestABroadcast(t *testing.T) {
	created := create(t)
	sessionID := drive(t, "/publish/"+created.StreamKey)["session_id"]
	drive(t, "/progress/"+created.ID+"/12.5/31.25")
	active, err := client.RealtimeKit.Livestreams.GetActiveLivestreamsForLivestreamID(
		context.TODO(), server.AppID, created.ID, realtime_kit.LivestreamGetActiveLivestreamsForLivestreamIDParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	equal(t, active.Data.Livestream.Status, "LIVE")
	equal(t, active.Data.Session.IngestSeconds, "12.5")
	equal(t, active.Data.Session.StartedTime.IsZero(), false)
	drive(t, "/close/"+created.ID)
	shown, err := client.RealtimeKit.Livestreams.GetLivestreamSessionForLivestreamID(
		context.TODO(), server.AppID, created.ID, realtime_kit.LivestreamGetLivestreamSessionForLivestreamIDParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	equal(t, shown.Data.Livestream.Status, "IDLE")
	equal(t, shown.Data.Session.ID, sessionID)
	equal(t, shown.Data.Session.ViewerSeconds, 31.25)
	equal(t, shown.Data.Paging.TotalCount, 1)
	details, err := client.RealtimeKit.Livestreams.GetLivestreamSessionDetailsForSessionID(
		context.TODO(), server.AppID, sessionID, realtime_kit.LivestreamGetLivestreamSessionDetailsForSessionIDParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	equal(t, details.Data.IngestSeconds, 12)
	equal(t, details.Data.LivestreamID, created.ID)
}

func TestAMeeting(t *testing.T) {
	meetingID := meeting(t)
	started, err := client.RealtimeKit.Livestreams.StartLivestreamingAMeeting(
		context.TODO(), server.AppID, meetingID, realtime_kit.LivestreamStartLivestreamingAMeetingParams{
			AccountID: cloudflare.F(server.AccountID), Name: cloudflare.F("prdmmp-xhycsl"),
		},
	)
	must(t, err)
	active, err := client.RealtimeKit.Livestreams.GetMeetingActiveLivestreams(
		context.TODO(), server.AppID, meetingID, realtime_kit.LivestreamGetMeetingActiveLivestreamsParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	equal(t, active.Data.ID, started.Data.ID)
	equal(t, active.Data.MeetingID, meetingID)
	// The SDK sends this POST with no body and no Content-Type.
	stopped, err := client.RealtimeKit.Livestreams.StopLivestreamingAMeeting(
		context.TODO(), server.AppID, meetingID, realtime_kit.LivestreamStopLivestreamingAMeetingParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	equal(t, stopped.Data.Message, "Stopped live stream successfully")
}

func TestAnalytics(t *testing.T) {
	_, err := client.RealtimeKit.Livestreams.GetLivestreamAnalyticsComplete(
		context.TODO(), server.AppID, realtime_kit.LivestreamGetLivestreamAnalyticsCompleteParams{
			AccountID: cloudflare.F(server.AccountID),
		},
	)
	must(t, err)
	org, err := client.RealtimeKit.Livestreams.GetOrgAnalytics(
		context.TODO(), server.AppID, realtime_kit.LivestreamGetOrgAnalyticsParams{
			AccountID: cloudflare.F(server.AccountID),
			StartDate: cloudflare.F("2022-09-01"), EndDate: cloudflare.F("2022-09-22"),
		},
	)
	must(t, err)
	equal(t, len(org.Data.SessionStats.DayStats), 22)
	equal(t, org.Data.RecordingStats.DayStats[0].Day, "2022-09-01")
}

func TestARefusalIsTyped(t *testing.T) {
	_, err := client.RealtimeKit.Livestreams.GetLivestreamSessionForLivestreamID(
		context.TODO(), server.AppID, "0d5d7b5e-0000-4000-8000-000000000000",
		realtime_kit.LivestreamGetLivestreamSessionForLivestreamIDParams{AccountID: cloudflare.F(server.AccountID)},
	)
	var refusal *cloudflare.Error
	equal(t, errors.As(err, &refusal), true)
	equal(t, refusal.StatusCode, 404)
	equal(t, len(refusal.Errors), 1)
	equal(t, refusal.Errors[0].Message, "The livestream was not found")
}
