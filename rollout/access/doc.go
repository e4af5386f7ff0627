// Package access decides who may do what in a deployment: role-based access control (RBAC)
// for rollouts, with a deny rule, scopes by target and an explanation of each decision, and
// time-based one-time passwords (TOTP) and recovery codes as second factors (MFA).
//
//	policy, err := access.NewPolicy(
//		access.Grant{Role: "developer", Actions: []rollout.Action{"start", "read"}, Targets: []string{"chat-*"}},
//		access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
//		access.Grant{Role: "sre", Actions: []rollout.Action{"waive"}, Targets: []string{"*"}, Deny: true},
//	)
//	engine, err := rollout.Open(ctx, rollout.Config{Authorize: policy.Authorize})
//
// # Policy
//
// What no grant allows is denied. A grant with Deny wins, whatever the order of grants and of
// roles. An action that is not in [Actions] is denied for everyone. A target pattern is a
// whole name, a name that ends with "-*", or "*" alone: "chat-*" matches "chat-eu" and not
// "chat". The rights are the rights at the moment of use: [Policy.Authorize] sees the roles
// that the actor has now.
//
// A [Live] policy is read again and again. A policy that cannot be read is never loaded: at
// the start it is an error, and later the last good one stays.
//
// # Second factors
//
// A [TOTP] accepts each code once, and pauses the factor of a user after five failures. A
// verified code gives the time for [rollout.Actor.Proved], which approvals and votes can
// demand. Lowering a candidate never needs a second factor.
//
// # Who is it?
//
// An [Authenticator] turns a request into an actor: [Header] behind a proxy that
// authenticates users, [Tokens] for tokens of programs that are issued and revoked, [Bearer]
// for tokens of a configuration, [Sessions] for people who have signed in, [First] for
// several of them.
//
// Modules of their own, which others do not load: rollout/access/oidc signs people in by OpenID
// Connect, rollout/access/webauthn is a [Factor] by passkeys and security keys, and
// rollout/access/cedar decides by policies in the language Cedar.
//
// This package uses only the standard library.
package access
