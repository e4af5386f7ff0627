package webauthn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/access"
)

// Enroll begins to enrol a key, which gets a name of 1 to 64 bytes. It returns the options for
// navigator.credentials.create as JSON. Call it only for the person who is signed in and, if
// they have a factor already, has proved it just now: who can enrol a key can prove.
func (k *Keys) Enroll(ctx context.Context, user, name string) (json.RawMessage, error) {
	if strings.TrimSpace(name) == "" || len(name) > 64 {
		return nil, &checks.InvalidError{Package: "webauthn", Field: "name", Value: fmt.Sprintf("%d bytes", len(name)), Want: "1 to 64 bytes"}
	}
	var options json.RawMessage
	err := k.update(ctx, user, func(p *person) (bool, error) {
		if len(p.Keys) >= maxKeys {
			return false, &checks.InvalidError{Package: "webauthn", Field: "user", Value: fmt.Sprintf("%d keys", len(p.Keys)), Want: fmt.Sprintf("fewer than %d keys; remove one", maxKeys)}
		}
		known := webauthn.Credentials(p.WebAuthnCredentials()).CredentialDescriptors()
		creation, session, err := k.lib.BeginRegistration(p, webauthn.WithExclusions(known))
		if err != nil {
			return false, fmt.Errorf("webauthn: %w", err)
		}
		if options, err = json.Marshal(creation.Response); err != nil {
			return false, fmt.Errorf("webauthn: %w", err)
		}
		p.ask(pending{Session: *session, Enrol: name, Until: time.Now().UTC().Add(patience)})
		return true, nil
	})
	return options, err
}

// Confirm finishes the enrolment with what navigator.credentials.create has returned, as JSON.
// An answer that is not to a challenge of this person, or does not hold, is [access.ErrCode].
func (k *Keys) Confirm(ctx context.Context, user, answer string) error {
	if len(answer) > maxAnswer {
		return refusal("the answer has %d bytes", len(answer))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return refusal("%v", reason(err))
	}
	return k.update(ctx, user, func(p *person) (bool, error) {
		q, err := p.take(parsed.Response.CollectedClientData.Challenge, true)
		if err != nil {
			return false, err
		}
		made, err := k.lib.CreateCredential(p, q.Session, parsed)
		switch {
		case err != nil:
			return true, refusal("%v", reason(err))
		case !made.Flags.UserVerified || !made.Flags.UserPresent:
			return true, refusal("the key has not verified the person")
		case slices.ContainsFunc(p.Keys, func(s stored) bool { return string(s.Credential.ID) == string(made.ID) }):
			return true, refusal("the key is enrolled already")
		case len(p.Keys) >= maxKeys:
			return true, refusal("the user has %d keys", len(p.Keys))
		}
		p.Keys = append(p.Keys, stored{Credential: *made, Name: q.Enrol, Made: time.Now().UTC()})
		return true, nil
	})
}

// Challenge returns the options for navigator.credentials.get as JSON, or
// [access.ErrNotEnrolled].
func (k *Keys) Challenge(ctx context.Context, user string) (json.RawMessage, error) {
	var options json.RawMessage
	err := k.update(ctx, user, func(p *person) (bool, error) {
		if len(p.Keys) == 0 {
			return false, access.ErrNotEnrolled
		}
		assertion, session, err := k.lib.BeginLogin(p, webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			return false, fmt.Errorf("webauthn: %w", err)
		}
		if options, err = json.Marshal(assertion.Response); err != nil {
			return false, fmt.Errorf("webauthn: %w", err)
		}
		p.ask(pending{Session: *session, Until: time.Now().UTC().Add(patience)})
		return true, nil
	})
	return options, err
}

// Verify implements [access.Factor]: code is what navigator.credentials.get has returned, as
// JSON. There is no pause after failures, since an answer cannot be guessed.
func (k *Keys) Verify(ctx context.Context, user, code string) (time.Time, error) {
	if len(code) > maxAnswer {
		return time.Time{}, refusal("the answer has %d bytes", len(code))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(code))
	if err != nil {
		return time.Time{}, refusal("%v", reason(err))
	}
	var proved time.Time
	cloned := ""
	err = k.update(ctx, user, func(p *person) (bool, error) {
		proved, cloned = time.Time{}, ""
		if len(p.Keys) == 0 {
			return false, access.ErrNotEnrolled
		}
		q, err := p.take(parsed.Response.CollectedClientData.Challenge, false)
		if err != nil {
			return false, err
		}
		used, err := k.lib.ValidateLogin(p, q.Session, parsed)
		if err != nil {
			return true, refusal("%v", reason(err))
		}
		// Clients have passed answers without it although it was demanded.
		if !parsed.Response.AuthenticatorData.Flags.HasUserVerified() || !parsed.Response.AuthenticatorData.Flags.HasUserPresent() {
			return true, refusal("the key has not verified the person")
		}
		i := slices.IndexFunc(p.Keys, func(s stored) bool { return string(s.Credential.ID) == string(used.ID) })
		if i < 0 {
			return true, refusal("the key is not one of the person")
		}
		last, now := p.Keys[i].Credential.Authenticator.SignCount, parsed.Response.AuthenticatorData.Counter
		if (last != 0 || now != 0) && now <= last {
			cloned = p.Keys[i].id()
			return true, refusal("the counter of the key is %d after %d: a copy of it may exist", now, last)
		}
		proved = time.Now().UTC()
		p.Keys[i].Credential.Authenticator.SignCount, p.Keys[i].Credential.Flags, p.Keys[i].Used = now, used.Flags, proved
		return true, nil
	})
	if cloned != "" && k.cfg.Cloned != nil {
		k.report(ctx, user, cloned)
	}
	if err != nil {
		return time.Time{}, err
	}
	return proved, nil
}

// report calls Cloned, whose panics end nothing.
func (k *Keys) report(ctx context.Context, user, id string) {
	defer func() { _ = recover() }()
	k.cfg.Cloned(ctx, user, id)
}

// reason returns what a developer needs to know of an error of the library.
func reason(err error) string {
	var e *protocol.Error
	if errors.As(err, &e) && e.DevInfo != "" {
		return fmt.Sprintf("%.200q", e.Details+": "+e.DevInfo)
	}
	return fmt.Sprintf("%.200q", err.Error())
}

// List returns the keys of a person in the order of their enrolment.
func (k *Keys) List(ctx context.Context, user string) ([]Key, error) {
	var list []Key
	err := k.update(ctx, user, func(p *person) (bool, error) {
		for _, s := range p.Keys {
			list = append(list, Key{ID: s.id(), Name: s.Name, Made: s.Made, Used: s.Used, Synced: s.Credential.Flags.BackupEligible})
		}
		return false, nil
	})
	return list, err
}

// Remove removes a key of a person, such as one that is lost. A key that the person does not
// have is [access.ErrNotEnrolled]. Removing the last one is allowed: the person then cannot prove
// by this factor.
func (k *Keys) Remove(ctx context.Context, user, id string) error {
	return k.update(ctx, user, func(p *person) (bool, error) {
		n := len(p.Keys)
		p.Keys = slices.DeleteFunc(p.Keys, func(s stored) bool { return s.id() == id })
		if len(p.Keys) == n {
			return false, access.ErrNotEnrolled
		}
		// What is under way was asked of the former keys.
		p.Pending = slices.DeleteFunc(p.Pending, func(q pending) bool { return q.Enrol == "" })
		return true, nil
	})
}
