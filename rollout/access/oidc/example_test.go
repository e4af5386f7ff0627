package oidc_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/access/oidc"
	"github.com/serin-go/serin/rollout/memstore"
)

// A console signs people in, and keeps them signed in by a session.
func Example() {
	provider, err := oidc.New(oidc.Config{
		Issuer: "https://login.example.com", ClientID: "serin", ClientSecret: "from the environment",
		RedirectURL: "https://gateway.example.com/signed-in",
	})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := access.NewSessions(access.SessionsConfig{Store: new(memstore.Store)})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", provider.SignIn)
	mux.HandleFunc("GET /signed-in", func(w http.ResponseWriter, r *http.Request) {
		by, err := provider.Finish(w, r)
		if err == nil {
			err = sessions.Start(w, r, by)
		}
		switch {
		case errors.Is(err, access.ErrNoCredentials), errors.Is(err, access.ErrCredentials):
			http.Error(w, "you are not signed in", http.StatusForbidden)
		case err != nil:
			http.Error(w, "sign-in is not available", http.StatusServiceUnavailable)
		default:
			http.Redirect(w, r, "/", http.StatusSeeOther)
		}
	})
	// People come with a session, programs with an ID token.
	who := access.First(sessions, provider)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/signed-in?code=forged", nil))
	_, err = who.Authenticate(httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, err)
	// Output:
	// 403 access: the request has no credentials
}
