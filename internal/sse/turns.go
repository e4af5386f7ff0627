package sse

import "bytes"

// turns is what the choices or candidates of a document say.
type turns struct {
	tokens
	listed        bool // there is a list of them, which may be empty
	text, message bool // some have a text, some a message or a delta
	n             int
	seen, ended   [2]uint64 // by index
	further       further   // with an index beyond those
	finish        [maxFinish][]byte
	finishes      int
	fault         fault
}

// maxFinish bounds how many different finish reasons of one answer are noted.
const maxFinish = 8

// manyFinishes stands for the reasons beyond them. No interface has it.
const manyFinishes = "more finish reasons than are noted"

// further is what is known of the choices beyond maxChoice: the largest index, and how
// many of them have ended, with the sum of their indices. They have all ended if these
// are what the indices up to the largest one give.
type further struct{ largest, ended, sum int }

func (f *further) note(index int, ended bool) {
	f.largest = max(f.largest, index)
	if ended {
		f.ended++
		f.sum += index
	}
}

func (f *further) join(o further) {
	f.largest = max(f.largest, o.largest)
	f.ended += o.ended
	f.sum += o.sum
}

// choices returns how many there are, and how many of them have not ended, as far as
// that is known: at least one if not all have.
func (f *further) choices() (n, open int) {
	if f.largest == 0 {
		return 0, 0
	}
	n = f.largest - maxChoice
	if f.ended != n || f.sum != n*(f.largest+MaxChoices)/2 {
		open = max(1, n-f.ended)
	}
	return n, open
}

// MaxChoices is how many choices of an answer are distinguished.
const MaxChoices = 128

// maxChoice is the largest index that a choice is noted under.
const maxChoice = MaxChoices - 1

// choice reads an element of "choices". Moonshot reports usage within the last one.
func (t *turns) choice(c *cursor, u *usage) {
	index := t.n
	t.n++
	if !c.Open('{') {
		return
	}
	var part, text tokens
	var finish []byte
	var f fault
	bare := true
	for c.More('}') {
		switch string(c.Key()) {
		case "delta", "message":
			bare = false
			t.message = t.message || c.Peek() == '{'
			part = readPart(c)
		case "text":
			bare = false
			t.text = t.text || c.Peek() == '"'
			text.content = c.Filled()
		case "finish_reason":
			finish = c.Text()
		case "index":
			if n, ok := c.Number(); ok {
				index = n
			}
		case "error":
			f.read(c)
		case "usage":
			u.read(c)
		default:
			c.Skip()
		}
	}
	if bare && bytes.HasPrefix(finish, []byte("content_filter")) {
		t.message = true // the OpenAI route of Gemini leaves it out
	}
	t.tokens.join(part)
	t.tokens.join(text)
	t.fault.join(f)
	t.note(index, finish)
}

// candidate reads an element of "candidates".
func (t *turns) candidate(c *cursor) {
	index := t.n
	t.n++
	if !c.Open('{') {
		return
	}
	var part tokens
	var finish []byte
	for c.More('}') {
		switch string(c.Key()) {
		case "content":
			part = readGeminiContent(c)
		case "finishReason":
			finish = c.Text()
		case "index":
			if n, ok := c.Number(); ok {
				index = n
			}
		default:
			c.Skip()
		}
	}
	t.tokens.join(part)
	t.note(index, finish)
}

// note notes a choice and its finish reason. An empty reason and "null" do not count.
func (t *turns) note(index int, finish []byte) {
	if index > maxChoice {
		t.further.note(index, len(finish) > 0 && string(finish) != "null")
		if len(finish) > 0 && string(finish) != "null" {
			t.add(finish)
		}
		return
	}
	t.seen[index/64] |= 1 << (index % 64)
	if len(finish) == 0 || string(finish) == "null" {
		return
	}
	t.ended[index/64] |= 1 << (index % 64)
	t.add(finish)
}

// add adds a finish reason, if it is new.
func (t *turns) add(finish []byte) {
	for _, f := range t.finish[:t.finishes] {
		if string(f) == string(finish) {
			return
		}
	}
	if t.finishes == maxFinish {
		t.finish[maxFinish-1] = []byte(manyFinishes)
		return
	}
	t.finish[t.finishes] = finish
	t.finishes++
}

// join adds the choices of another document.
func (t *turns) join(o *turns) {
	t.tokens.join(o.tokens)
	t.listed, t.text, t.message = t.listed || o.listed, t.text || o.text, t.message || o.message
	t.fault.join(o.fault)
	t.further.join(o.further)
	for i := range t.seen {
		t.seen[i] |= o.seen[i]
		t.ended[i] |= o.ended[i]
	}
	for _, f := range o.finish[:o.finishes] {
		t.add(f)
	}
}
