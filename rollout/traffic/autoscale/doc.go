// Package autoscale decides how many replicas of a model server each version needs. It
// implements the algorithms of the Kubernetes HorizontalPodAutoscaler (HPA) and of the
// Knative Pod Autoscaler (KPA) with signals of LLM servers: waiting requests, use of the
// KV cache, tokens in flight, time to first token. It keeps capacity for the traffic split
// of a rollout, and drains token streams when it scales down.
//
//	loop, err := autoscale.New(autoscale.Config{
//		Scaler: autoscale.Scaler{Min: 2, Max: 20},
//		Source: source, Actuator: deployments, Arms: []string{"1.4.0", "1.5.0"},
//		Act: true, // without it, the loop only logs what it would do
//	})
//	err = loop.Run(ctx)
//
// # Decisions
//
// [Scaler.Next] is a pure function: measurements and state in, number of replicas and new
// state out. Each [Signal] proposes a number, and the largest wins. CPU and GPU utilisation
// are no signals, since a GPU is fully utilised by one request.
//
// A missing signal never lowers the number: where it would, the signal counts as its
// target. Where the number rises, it counts as zero. If all signals are missing, the number
// stays, and the decision is Unknown.
//
// [Metrics] reads the signals from the metrics pages of vLLM, SGLang, TGI, llama.cpp and
// Triton. [Servers] measures servers that this process runs. Any other [Source] will do.
//
// # Rollouts
//
// [Floors] computes what each version needs before its share of traffic grows, and
// [Loop.Room] is the check of a stage that waits for these replicas. The baseline keeps
// the capacity for all traffic until the monitoring of the rollout has ended, so that a
// rollback at any moment finds it.
//
// # Sources
//
// HPA: pkg/controller/podautoscaler of Kubernetes and KEP-853. KPA:
// pkg/autoscaler/scaling of Knative.
//
// # Dependencies
//
// Package replicas brings xxhash. Everything else is the standard library.
package autoscale
