// Package registrystore keeps the model registry in the store of rollouts, and records
// there which build is in production.
//
//	reg, err := registrystore.New(registrystore.Config{Store: store, Note: led.Note})
//	err = reg.Register(ctx, registry.Key{Name: "chat", Version: v}, digest)
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Store: store,
//		Sinks: map[string]rollout.Sink{"registry": reg},
//	})
//	moves, err := reg.History(ctx, "chat", registry.Production)
//
// A [Registry] is a [registry.Registry] in any [rollout.Store], so that several processes
// share it, and a [rollout.Sink]. When the candidate of a rollout has all traffic, the
// alias "production" moves to its build. When the rollout ends in another way than
// Promoted after that, the alias moves back, or is removed if the former build is
// withdrawn. The history of the alias names the rollout,
// the actor, the time and the reason of each move.
//
// The model is the one that the plan names, Plan.Candidate.Model, or else the target. A
// candidate that is not registered, or that is registered with another digest than the
// plan has, moves nothing: the event becomes a dead letter of the engine, which says why.
//
// An event may be delivered again, or late: a move that is in the history is not made
// again, and a rollout moves nothing after a newer rollout of the same target has.
//
// # Dependencies
//
// Only the standard library, in addition to packages of this module.
package registrystore
