// Package metrics lists the metrics of package traffic with their names, units, bounds
// and labels, so that all exporters write the same. The names that begin with gen_ai are
// of the OpenTelemetry conventions for generative AI.
package metrics
