package jsonwalk

// maxHoles bounds the holes of a document: the token, padding against
// eavesdroppers, a number.
const maxHoles = 3

// Hole is a value of a document that changes from one document of a stream to
// the next without changing what the document means: the inside of a string that
// is not empty, or the digits of a whole number.
type Hole struct {
	From, To int
	Number   bool
}

// Holes are the holes of one document, from left to right. Those beyond the
// bound are not noted.
type Holes struct {
	At [maxHoles]Hole
	N  int
}

// Add notes a hole unless it is empty.
func (h *Holes) Add(from, to int, number bool) {
	if h.N < maxHoles && to > from {
		h.At[h.N] = Hole{from, to, number}
		h.N++
	}
}
