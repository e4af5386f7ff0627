package traffic_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/rollout/traffic"
)

func TestModelList(t *testing.T) {
	for _, tt := range []struct {
		names   []string
		path    string
		status  int
		id      string // of the one that is described
		ids     []string
		message bool
	}{
		{[]string{"a", "org/b"}, "/v1/models", 200, "", []string{"a", "org/b"}, false},
		{[]string{"a", "org/b"}, "/v1/models/", 200, "", []string{"a", "org/b"}, false},
		{[]string{"a", "org/b"}, "/openai/v1/models/org/b", 200, "org/b", nil, false},
		{[]string{"a"}, "/v1/models/b", 404, "", nil, true},
		{[]string{"a"}, "/v1/models/%22%00%3C", 404, "", nil, true},
		{nil, "/v1/models", 200, "", []string{}, false},
	} {
		w := httptest.NewRecorder()
		traffic.ModelList(tt.names...).ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
		var got struct {
			ID    string
			Data  []struct{ ID string }
			Error *struct{ Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tt.status || got.ID != tt.id || (got.Error != nil) != tt.message {
			t.Errorf("%s: %d, %v, %s", tt.path, w.Code, err, w.Body)
		}
		var ids []string
		if got.Data != nil {
			ids = []string{}
		}
		for _, m := range got.Data {
			ids = append(ids, m.ID)
		}
		if diff := cmp.Diff(tt.ids, ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.path, diff)
		}
	}
}
