// Package httproute splits traffic for canary and A/B rollouts in a Kubernetes
// gateway. Its [Splitter] is a rollout.Splitter that sets the weights of an HTTPRoute's
// backendRefs (Gateway API, gateway.networking.k8s.io/v1) over net/http, and reads back
// what is in force:
//
//	splitter, err := httproute.New(httproute.Config{
//		Name: "chat",
//		Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
//	})
//
// In a cluster everything else is found in the files of the pod's service
// account, which needs the verbs get and patch on httproutes.
//
// # What it can do
//
// Weights of a route are whole numbers up to a million, so the split's weights are set
// as they are: steps of 0.01 % are exact, and 0 means no new requests. Whether a user
// stays with an arm depends on the gateway. The Gateway API does not promise it, and
// the split's salt has no meaning. [Splitter.CanSplit] refuses rules and mirrors.
//
// The route is read first. In each of its rules that names a backend of the
// split, or in the one that [Config].Rule names, the weights of the arms are set;
// backends of arms that are not in the split are set to 0, and a backend that
// belongs to no arm and has a weight is an error, since it would take traffic from
// all arms. Everything else stays byte for byte the same. A merge patch replaces
// arrays as a whole, so the patch has all rules as they were read, including fields
// that this package does not know, and the resourceVersion that they were read at. If
// the route has changed meanwhile, it is read and patched again.
//
// # When a split is in force
//
// After the patch the route is read until it has the split's weights, and every
// gateway in its status has accepted this generation. If a gateway refuses it, or the
// weights differ, the previous rules are restored and SetSplit returns an error.
// Acceptance means that the gateway has the route. The API has no field for whether
// each of its proxies has it. A gateway that writes no status needs
// [Config].DangerouslySkipStatus.
//
// Configure tools that keep the cluster equal to files, such as GitOps controllers, to
// ignore the weights. Otherwise they reset them.
//
// # Dependencies
//
// The standard library, and package strategies.
package httproute
