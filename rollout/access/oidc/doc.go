// Package oidc signs people in by OpenID Connect, for consoles and APIs of rollouts.
//
//	provider, err := oidc.New(oidc.Config{
//		Issuer: "https://login.example.com", ClientID: "serin", ClientSecret: secret,
//		RedirectURL: "https://gateway.example.com/signed-in",
//	})
//	mux.HandleFunc("GET /sign-in", provider.SignIn)
//	mux.HandleFunc("GET /signed-in", func(w http.ResponseWriter, r *http.Request) {
//		by, err := provider.Finish(w, r)
//		if err == nil {
//			err = sessions.Start(w, r, by) // an access.Sessions
//		}
//		...
//	})
//
// # Who it is
//
// A person is the issuer and the subject of the ID token, never an e-mail address, which
// another person may get later. [Finish] puts both into [rollout.Actor.Subject]. A verified
// e-mail address is the name that is shown.
//
// # What is refused
//
// A sign-in uses the authorization code flow with state, nonce and PKCE (RFC 7636, S256). The
// answer must come to the browser that has asked, within ten minutes. If the provider names
// itself in the answer (RFC 9207), it must be the one that was asked. An ID token must be
// signed by a key of the issuer with an asymmetric algorithm, be meant for this client, and be
// of this time. A token for several audiences must name this client as the authorized party
// (azp), and a token that names another one is refused.
//
// # Programs and APIs
//
// A [Provider] is an [access.Authenticator] too: it accepts ID tokens of this client in the
// header Authorization, as kubectl does.
//
// The package uses github.com/coreos/go-oidc, which reads the metadata and the keys of a
// provider and checks signatures, and golang.org/x/oauth2, which redeems codes. It is a module
// of its own, so that others do not load these.
package oidc
