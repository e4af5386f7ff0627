package oteltest

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// labels words attributes as name=value, sorted by name.
type labels struct{}

var labelsID = attribute.NewEncoderID()

// ID implements [attribute.Encoder].
func (labels) ID() attribute.EncoderID { return labelsID }

// Encode implements [attribute.Encoder].
func (labels) Encode(it attribute.Iterator) string {
	var all []string
	for it.Next() {
		kv := it.Attribute()
		all = append(all, string(kv.Key)+"="+kv.Value.Emit())
	}
	return strings.Join(all, ",")
}
