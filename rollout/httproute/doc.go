// Package httproute answers how a rollout moves traffic that a Kubernetes gateway
// divides. Its [Splitter] is a rollout.Splitter that sets the weights of an
// HTTPRoute's backendRefs (Gateway API, gateway.networking.k8s.io/v1) over
// net/http, and reads back what is in force:
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
// Weights are whole numbers up to a million there, and are set to those of the
// split: steps of 0.01 % are exact, 0 means no new requests. Whether a user stays
// with an arm is up to the gateway; Gateway API does not promise it, and the
// split's salt has no meaning. [Splitter.CanSplit] refuses rules and mirrors.
//
// The route is read first. In each of its rules that names a backend of the
// split, or in the one that [Config].Rule names, the weights of the arms are set;
// backends of arms that are not in the split are set to 0, and a backend that
// belongs to no arm and has a weight is an error, since it would take traffic from
// all arms. Everything else stays byte for byte what it was: a merge patch
// replaces arrays as a whole, so the patch carries all rules as they were read,
// also what this package knows nothing of, under the resourceVersion that they
// were read at. When somebody else was faster, it is read and tried again.
//
// # When a split is in force
//
// After the patch the route is read until its weights are those of the split and
// every gateway in its status has accepted this generation of it. A gateway that
// refuses it, and weights that come out as others, are errors, and the rules that
// were there before are put back. Acceptance says that the gateway has taken the
// route over; that each of its proxies has it, no field of the API tells.
// A gateway that writes no status needs [Config].DangerouslySkipStatus.
//
// A tool that keeps the cluster equal to files, such as a GitOps controller, must
// be told to leave the weights alone, or it will set them back.
//
// # Dependencies
//
// The standard library, and package strategies.
package httproute
