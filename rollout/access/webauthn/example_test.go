package webauthn_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/access/webauthn"
	"github.com/serin-go/serin/rollout/memstore"
)

// A console asks for a passkey before an approval. user stands for the name of the session.
func Example() {
	keys, err := webauthn.New(webauthn.Config{
		ID: "gateway.example.com", Origins: []string{"https://gateway.example.com"},
		Store: new(memstore.Store),
	})
	if err != nil {
		log.Fatal(err)
	}
	const user = "ana"
	mux := http.NewServeMux()
	mux.HandleFunc("POST /challenge", func(w http.ResponseWriter, r *http.Request) {
		options, err := keys.Challenge(r.Context(), user)
		if errors.Is(err, access.ErrNotEnrolled) {
			http.Error(w, "enrol a key first", http.StatusConflict)
			return
		}
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		w.Write(options)
	})
	mux.HandleFunc("POST /prove", func(w http.ResponseWriter, r *http.Request) {
		answer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err == nil {
			_, err = keys.Verify(r.Context(), user, string(answer)) // the time is for Sessions.StepUp
		}
		if err != nil {
			http.Error(w, "not proved", http.StatusForbidden)
		}
	})
	for _, path := range []string{"/challenge", "/prove"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("{}")))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 409 enrol a key first
	// 403 not proved
}
