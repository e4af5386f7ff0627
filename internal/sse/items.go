package sse

import "bytes"

// items counts the elements of a list of results.
type items struct {
	n                              int
	vectors, images, scores, flags int // elements that have one
	empty                          int // vectors and images without content
	filled                         int // elements that hold anything
	others                         bool
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
	if c.Peek() != '{' {
		if present(c) { // a prediction may be anything
			it.filled++
		}
		return
	}
	c.Open('{')
	var e items
	for c.More('}') {
		switch string(c.Key()) {
		case "embedding", "embeddings":
			e.vector(c)
		case "b64_json", "url":
			if c.Filled() {
				e.images++
			}
		case "relevance_score", "score":
			if ch := c.Peek(); ch == '-' || ch >= '0' && ch <= '9' {
				e.scores++
			}
			c.Skip()
		case "label", "probs", "data", "prediction", "labels":
			if c.Filled() {
				e.scores++
			}
		case "flagged":
			if ch := c.Peek(); ch == 't' || ch == 'f' {
				e.flags++
			}
			c.Skip()
		case "categories":
			if c.Filled() {
				e.flags++
			}
		default:
			e.others = present(c) || e.others
		}
	}
	if e.others || e.images+e.scores+e.flags+e.vectors > 0 {
		it.filled++
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
		filled, broken := false, false
		for c.More('}') {
			c.Key()
			if c.Peek() == '[' {
				ok := numbers(c)
				filled, broken = filled || ok, broken || !ok
			} else {
				filled = c.Filled() || filled
			}
		}
		if !filled || broken {
			it.empty++
		}
	case '[':
		if !numbers(c) {
			it.empty++
		}
	default:
		if !c.Filled() {
			it.empty++
		}
	}
}

// numbers skips a list and reports whether it holds numbers, or lists of them, and
// nothing else. The only letter of a number is its e.
func numbers(c *cursor) bool {
	from := c.I
	if !c.Filled() {
		return false
	}
	for _, ch := range []byte(`ntf"{`) { // null, true, false, a text, an object
		if bytes.IndexByte(c.B[from:c.I], ch) >= 0 {
			return false
		}
	}
	return true
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
