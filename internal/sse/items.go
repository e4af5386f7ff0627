package sse

import "bytes"

// items counts the elements of a list of results.
type items struct {
	n                              int
	vectors, images, scores, flags int // elements that have one
	empty                          int // vectors and images without content
}

// readItems reads "data", "results" and the like. It reports false if that is no
// list.
func readItems(c *cursor) (it items, list bool) {
	if !c.Open('[') {
		return it, false
	}
	for c.More(']') {
		it.n++
		it.element(c)
	}
	return it, true
}

func (it *items) element(c *cursor) {
	if !c.Open('{') {
		return
	}
	var e items
	for c.More('}') {
		switch string(c.Key()) {
		case "embedding", "embeddings":
			e.vector(c)
		case "b64_json", "url":
			if c.Filled() {
				e.images++
			}
		case "relevance_score", "score", "label", "probs", "data", "prediction", "labels":
			e.scores++
			c.Skip()
		case "flagged", "categories":
			e.flags++
			c.Skip()
		default:
			c.Skip()
		}
	}
	it.vectors += min(e.vectors, 1)
	it.images += min(e.images, 1)
	it.scores += min(e.scores, 1)
	it.flags += min(e.flags, 1)
	it.empty += e.empty
}

// vector reads an embedding: a list of numbers or of lists of them, the same as
// base64, or an object around one.
func (it *items) vector(c *cursor) {
	it.vectors++
	switch c.Peek() {
	case '{':
		c.Open('{')
		filled := false
		for c.More('}') {
			filled = c.Key() != nil && c.Filled() || filled
		}
		if !filled {
			it.empty++
		}
	case '[':
		from := c.I
		// The only letter of a number is its e: any n is part of a null.
		if !c.Filled() || bytes.IndexByte(c.B[from:c.I], 'n') >= 0 {
			it.empty++
		}
	default:
		if !c.Filled() {
			it.empty++
		}
	}
}

// readVectors reads "embeddings": a list of vectors, or lists of them by their
// type.
func readVectors(c *cursor) (it items, list bool) {
	switch c.Peek() {
	case '[':
		c.Open('[')
		for c.More(']') {
			it.n++
			it.vector(c)
		}
		return it, true
	case '{':
		c.Open('{')
		for c.More('}') {
			c.Key()
			if typed, ok := readVectors(c); ok && typed.vectors > it.vectors {
				it = typed
			}
		}
		return it, true
	}
	c.Skip()
	return it, false
}
