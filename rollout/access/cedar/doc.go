// Package cedar decides who may do what by policies in the language Cedar, for teams whose
// rules do not fit the table of [access.Policy]: conditions on the time of the second factor,
// on the hour, on where a command comes from.
//
//	policy, err := cedar.Parse("policy.cedar", text)
//	engine, err := rollout.Open(ctx, rollout.Config{Authorize: policy.Authorize})
//
// An example:
//
//	permit (principal in Role::"sre", action, resource);
//
//	permit (principal in Role::"developer", action in [Action::"start", Action::"read"], resource)
//	when { resource.name like "chat-*" };
//
//	forbid (principal, action == Action::"promote-fully", resource)
//	unless { context has provedSecondsAgo && context.provedSecondsAgo < 300 };
//
// [Schema] declares the entities and the context: the actor is a User in its Roles, each of
// [access.Actions] is an Action, and the target is a Target.
//
// [Parse] checks a policy against the schema, so that a policy for an action, a type or an
// attribute that does not exist is refused and not silently without effect. Cedar skips a
// policy whose evaluation fails, even one that forbids; [Policy.Authorize] denies then.
//
// A decision takes about 2 µs, and 40 ns with [access.Policy].
//
// To change a policy in a running service, parse the new text and, if that succeeds, replace
// the pointer to the former one.
//
// The package uses github.com/cedar-policy/cedar-go, the implementation of the language for
// Go. It is a module of its own, so that others do not load it.
package cedar
