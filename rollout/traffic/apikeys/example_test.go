package apikeys_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/serin-go/serin/rollout/traffic/apikeys"
)

// A handler that only callers with a key reach. The file holds the hash of the key
// "opensesame".
func Example() {
	keys, err := apikeys.Read(strings.NewReader(`{"d9fb92e3bbe65be1f1aad4a82eef4567f7a1ebe2cd110c8049b9698be7a70c88": {"team": "search"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := apikeys.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "for team %s", apikeys.TeamOf(r))
	}), keys.Authenticate)
	for _, key := range []string{"opensesame", "sesame"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
}
