package access_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

// A team in which developers start rollouts, and only privacy grants waivers.
func ExamplePolicy() {
	policy, err := access.NewPolicy(
		access.Grant{Role: "developer", Actions: []rollout.Action{"start", "read"}, Targets: []string{"chat-*"}},
		access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
		access.Grant{Role: "sre", Actions: []rollout.Action{"waive"}, Targets: []string{"*"}, Deny: true},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ana := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
	fmt.Println(policy.Authorize(context.Background(), ana, "abort", "chat-eu")) // for rollout.Config.Authorize
	fmt.Println(policy.Explain(ana, "waive", "chat-eu"))
	// Output:
	// <nil>
	// ana may not waive on target chat-eu: denied by role sre on *
}

// The time of a verified code goes into the actor of a command.
func ExampleTOTP() {
	ctx := context.Background()
	factor, err := access.NewTOTP(access.TOTPConfig{Store: new(memstore.Store), Issuer: "Deployments"})
	if err != nil {
		fmt.Println(err)
		return
	}
	enrolment, err := factor.Enroll(ctx, "ana@example.com") // show enrolment.URI as a QR code
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(enrolment.Secret), "characters")
	proved, err := factor.Verify(ctx, "ana@example.com", "123456")
	actor := rollout.Actor{Name: "ana", Subject: "ana@example.com", Roles: []string{"sre"}, Proved: proved}
	fmt.Println(actor.Proved.IsZero(), err)
	// Output:
	// 32 characters
	// true access: the user has not enrolled
}

// People come through a proxy that authenticates them, and programs have tokens.
func ExampleFirst() {
	people, err := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	programs, err := access.Bearer(access.Token{
		Digest: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", // of the token "foo"
		Actor:  rollout.Actor{Name: "ci", Roles: []string{"developer"}}, Until: time.Now().AddDate(0, 3, 0),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	who := access.First(people, programs)
	request := httptest.NewRequest("POST", "/rollouts", nil)
	request.Header.Set("Authorization", "Bearer foo")
	actor, err := who.Authenticate(request)
	fmt.Println(actor.Name, actor.Roles, err)
	// Output: ci [developer] <nil>
}

// A sign-in begins a session, and a second factor steps it up.
func ExampleSessions() {
	sessions, err := access.NewSessions(access.SessionsConfig{Store: new(memstore.Store)})
	if err != nil {
		fmt.Println(err)
		return
	}
	response := httptest.NewRecorder()
	ana := rollout.Actor{Name: "ana", Subject: "idp|7", Roles: []string{"sre"}}
	if err := sessions.Start(response, httptest.NewRequest("POST", "/login", nil), ana); err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest("POST", "/approve", nil)
	request.AddCookie(response.Result().Cookies()[0])
	actor, err := sessions.Authenticate(request)
	fmt.Println(actor.Name, actor.Proved.IsZero(), err)

	response = httptest.NewRecorder()
	err = sessions.StepUp(response, request, time.Now()) // the time that TOTP.Verify has returned
	request = httptest.NewRequest("POST", "/approve", nil)
	request.AddCookie(response.Result().Cookies()[0])
	actor, _ = sessions.Authenticate(request)
	fmt.Println(actor.Name, actor.Proved.IsZero(), err)
	// Output:
	// ana true <nil>
	// ana false <nil>
}
