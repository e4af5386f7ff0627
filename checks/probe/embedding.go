package probe

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/serin-go/serin/checks"
)

// EmbeddingOptions configures [Embedding].
type EmbeddingOptions struct {
	// Input is the text. Default "The quick brown fox jumps over the lazy dog.".
	Input string
	// Dimension is the wanted number of components. Default: any.
	Dimension int
	// Unit requires the Euclidean norm 1, within 0.01. Otherwise any norm above 0 will do.
	Unit bool
}

// Embedding returns a check that a model embeds a text: one vector of the wanted dimension,
// whose components are finite and not all zero. Evidence: status, milliseconds,
// input_tokens, model, dimension, norm, cost.
func Embedding(e Endpoint, o EmbeddingOptions) checks.Check {
	if o.Input == "" {
		o.Input = "The quick brown fox jumps over the lazy dog."
	}
	bad := &invalid{}
	u := e.invalid(bad, "/v1/embeddings")
	bad.options = "EmbeddingOptions"
	if o.Dimension < 0 {
		bad.add("Dimension", o.Dimension, "a positive number, or 0 for any")
	}
	return e.check("embedding", bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		r, end := send(map[string]any{"input": o.Input, "encoding_format": "float"})
		if end != nil {
			return *end
		}
		delete(r.evidence, "output_tokens")
		var doc struct {
			Data []struct {
				Embedding []*float64 `json:"embedding"`
			} `json:"data"`
		}
		if err := json.Unmarshal(r.body, &doc); err != nil {
			return r.fail("%s gives no list of numbers as embedding: %v", e.Model, err)
		}
		if len(doc.Data) != 1 {
			return r.fail("%s gives %d embeddings for one text", e.Model, len(doc.Data))
		}
		vector := doc.Data[0].Embedding
		norm := 0.0
		for _, v := range vector {
			if v == nil {
				return r.fail("%s gives an embedding with null", e.Model)
			}
			norm = math.Hypot(norm, *v)
		}
		r.evidence["dimension"] = strconv.Itoa(len(vector))
		r.evidence["norm"] = strconv.FormatFloat(norm, 'g', 6, 64)
		switch {
		case o.Dimension > 0 && len(vector) != o.Dimension:
			return r.fail("the embedding of %s has dimension %d, want %d", e.Model, len(vector), o.Dimension)
		case !(norm > 0) || math.IsInf(norm, 0):
			return r.fail("the embedding of %s has norm %g, want a positive number", e.Model, norm)
		case o.Unit && math.Abs(norm-1) > 0.01:
			return r.fail("the embedding of %s has norm %.4g, want 1", e.Model, norm)
		}
		return checks.Result{Status: checks.Pass, Summary: e.Model + " embeds a text", Evidence: r.evidence}
	})
}
