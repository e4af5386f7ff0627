package traffic

import (
	"bytes"
	"math"
	"math/bits"
	"net/http"
	"sync"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/jsonwalk"
)

// What a server does not report is estimated from bytes of text, by the arm's own
// ratio of bytes to tokens, which is learned from the answers that report both.
const (
	bytesPerToken = 4       // until an arm has reported anything
	priorTokens   = 100     // how many tokens that stands for
	memoryTokens  = 1 << 20 // beyond as many tokens, older answers count half
	mediaTokens   = 1000    // of an image or a file in a request
	defaultOutput = 4096    // the output that is reserved for until enoughAnswers answers are known
	enoughAnswers = 20
	// templateTokens are what a server may add to a request, which is reserved for.
	templateTokens = 16
)

// size is how much a request has to say: bytes of text, tokens that it spells out, and
// images and files. spoken is how many bytes of the text a request for speech wants
// to hear.
type size struct{ text, tokens, media, spoken int }

// tokensAbout estimates the tokens of a request alike for all arms.
func (s size) tokensAbout() int { return s.text/bytesPerToken + s.tokens + mediaTokens*s.media }

// sizeOf returns the size of a request to an interface. Of a body that is not in
// memory only its length is known.
func (r *Router) sizeOf(req *http.Request, api answer.API, body *payload) (s size) {
	held := share{memory: body.share.memory}
	defer held.end()
	data, ok, err := body.bytes(r.maxBody, &held)
	ok = ok && err == nil
	switch {
	case !ok && req.ContentLength > 0:
		s.text = int(min(req.ContentLength, jsonwalk.MaxNumber))
	case !ok:
		s.text = int(r.maxBody)
	default:
		s = sizeOfBody(data)
	}
	if s.spoken = s.text; ok && api == answer.Speech {
		s.spoken = spokenIn(data, s.text)
	}
	return s
}

// spokenIn returns how many bytes of text a request for speech wants to hear, otherwise
// if its body is no JSON object.
func spokenIn(data []byte, otherwise int) (n int) {
	c := jsonwalk.Cursor{B: data}
	if c.Peek() != '{' {
		return otherwise
	}
	c.Open('{')
	for c.More('}') {
		if string(c.Key()) == "input" {
			n = len(c.Text())
		} else {
			c.Skip()
		}
	}
	if c.Bad {
		return otherwise
	}
	return n
}

// sizeOfBody adds up the strings of a JSON document that are not names of members. A
// body of another form is one file.
func sizeOfBody(data []byte) (s size) {
	c := jsonwalk.Cursor{B: data}
	switch c.Peek() {
	case 0:
		return s
	case '{', '[':
	default:
		return size{media: 1}
	}
	var name []byte // of the member under way
	plain := false  // the object under way is a text
	file := 0       // bytes of a file in that object, which is a text if its type says so
	for {
		open := bytes.IndexByte(data[c.I:], '"')
		if open < 0 {
			s.tokens += tokensIn(name, data[c.I:])
			return s
		}
		between := data[c.I : c.I+open]
		s.tokens += tokensIn(name, between)
		if (plain || file > 0) && bytes.ContainsAny(between, "{}") {
			plain, file = false, 0
		}
		c.I += open
		from := c.I + 1
		if c.Skip(); c.Bad {
			return s
		}
		inside := data[from : c.I-1]
		switch {
		case c.Peek() == ':':
			name = inside
		case string(name) == "type" && string(inside) == "text":
			s.text += len(inside) + file
			if file > 0 {
				s.media--
			}
			plain, file = true, 0
		case string(name) == "data" && plain:
			s.text += len(inside)
		case isMedia(name, inside):
			s.media++
			if string(name) == "data" {
				file = len(inside)
			}
		default:
			s.text += len(inside)
		}
	}
}

// tokensIn returns how many numbers there are in b, which has no strings, if b belongs
// to a member that may be tokens and no text.
func tokensIn(name, b []byte) (n int) {
	switch string(name) {
	case "input", "inputs", "prompt", "input_ids", "prompt_token_ids", "tokens":
	default:
		return 0
	}
	inside := false
	for _, ch := range b {
		digit := ch >= '0' && ch <= '9' || ch == '.' || ch == '-' || ch == '+' || ch == 'e' || ch == 'E'
		if digit && !inside && ch != 'e' {
			n++
		}
		inside = digit
	}
	return n
}

// isMedia reports whether a string stands for an image, a file or a sound.
func isMedia(name, value []byte) bool {
	switch string(name) {
	case "file_id", "file_data", "b64_json", "images", "fileUri", "file_uri", "bytes":
		return len(value) > 0
	case "url", "image_url", "data", "image":
		return bytes.HasPrefix(value, []byte("data:")) || bytes.HasPrefix(value, []byte("http")) || len(value) >= 256
	}
	return false
}

// learned is what the answers of an arm have shown about its tokens. It is safe for
// concurrent use.
type learned struct {
	mu        sync.Mutex
	in, out   ratio
	outputs   histogram // of output tokens
	extras    histogram // of money that answers cost apart from tokens
	remainder amount    // of the charges so far, below one unit of money
}

// ratio is how many bytes of text there were for how many tokens.
type ratio struct{ bytes, tokens float64 }

func (r *ratio) learn(bytes, tokens int) {
	r.bytes += float64(bytes)
	r.tokens += float64(tokens)
	if r.tokens > memoryTokens {
		r.bytes, r.tokens = r.bytes/2, r.tokens/2
	}
}

func (r *ratio) estimate(bytes int) int {
	per := (r.bytes + bytesPerToken*priorTokens) / (r.tokens + priorTokens)
	return int(math.Round(float64(bytes) / per))
}

// note learns from an answer that is complete and reported.
func (l *learned) note(s size, out *answer.Outcome) {
	u := &out.Usage
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.Input > 0 && s.text > 0 && s.media == 0 && s.tokens == 0 {
		l.in.learn(s.text, u.Input)
	}
	if !u.Reported {
		return
	}
	if u.Text > 0 && u.Output > 0 && (out.Form != answer.Document || u.Text <= maxLearned) {
		l.out.learn(u.Text, u.Output)
	}
	l.outputs.add(u.Output)
}

// maxLearned is how long the text of a document may be to learn from: longer ones
// are shortened as they are read.
const maxLearned = 32 << 10

// usage returns the usage of an attempt, and why it is an estimate, "" if it is not.
func (l *learned) usage(b *bill, out *answer.Outcome) (u answer.Usage, why string) {
	u = out.Usage
	good := out.Class == analysis.OK || out.Class == analysis.Refused
	switch {
	case b.ask.Route.Kind == answer.Realtime:
		return u, whySession
	case out.Deferred:
		return answer.Usage{Input: l.input(b.size), Output: l.mostOutput(b.ask)}, whyDeferred
	case failedForFree(out):
		return u, out.Why
	case good && !u.Inconsistent:
		l.note(b.size, out)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if out.Status == 0 { // it may have read the request
		u.Input = l.inputOf(b.size)
		return u, out.Why
	}
	seconds := u.Seconds > 0 // billed by time
	if u.Input == 0 && !seconds {
		if u.Input = l.inputOf(b.size); u.Input > 0 {
			why = whyInput
		}
	}
	switch {
	case good && u.Reported, seconds:
	case u.Unreported > 0:
		u.Output, why = max(u.Output, u.LastOutput+l.out.estimate(u.Unreported)), whyOutput
	case !u.Reported && !withoutOutput(b.ask.Route.API):
		why = whyOutput
	}
	if !good && why == "" && !u.Reported {
		why = out.Why
	}
	return u, why
}

// withoutOutput reports whether an interface bills no output.
func withoutOutput(api answer.API) bool {
	return api == answer.Embeddings || api == answer.Rerank || api == answer.Moderations
}

// carry returns the cost of an amount and of what was left of those before it.
func (l *learned) carry(a amount) analysis.Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	a += l.remainder
	whole := math.Floor(float64(a) / perMoney)
	l.remainder = a - amount(whole*perMoney)
	return analysis.Money(min(whole, 1e18))
}

// input estimates the input tokens of a request.
func (l *learned) input(s size) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inputOf(s)
}

// inputOf is input for a caller that holds the lock.
func (l *learned) inputOf(s size) int {
	return l.in.estimate(s.text) + s.tokens + mediaTokens*s.media
}

// output returns how many output tokens 95 % of the answers do not exceed.
func (l *learned) output() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, known := l.outputs.most(); known {
		return n
	}
	return defaultOutput
}

// estimate returns what a request will probably cost at most at an arm, with its
// output or without, -1 if the price is not known. The service tier is the dearest.
func (a *arm) estimate(b *bill, output bool) analysis.Money {
	price := a.backend.price(a.named(b.model, &answer.Outcome{}))
	if !price.Known() {
		return -1
	}
	u := answer.Usage{Input: templateTokens + a.stats.learned.input(b.size)}
	if output {
		u.Output = a.stats.learned.mostOutput(b.ask)
	}
	characters := 0
	if b.ask.Route.API == answer.Speech {
		characters = b.size.spoken
	}
	most, _ := price.amount(&u, "", characters)
	for tier := range price.Tiers {
		sum, _ := price.amount(&u, tier, characters)
		most = max(most, sum)
	}
	if output && b.extras() {
		most += a.stats.learned.mostExtras(&price, b)
	}
	return most.money() + 1 // what is below one unit of money is something
}

// mostOutput returns how many output tokens a request will probably have at most.
func (l *learned) mostOutput(ask answer.Ask) int {
	if withoutOutput(ask.Route.API) {
		return 0
	}
	n := l.output()
	if most := ask.MaxTokens; most > 0 {
		n = min(n, most)
	}
	return n * max(1, min(ask.N, maxChoicesCharged))
}

// maxChoicesCharged bounds the choices that are reserved for.
const maxChoicesCharged = 128

// extras reports whether a request may cost more than its tokens: images, minutes of
// audio, or calls of the server's tools.
func (b *bill) extras() bool {
	switch b.ask.Route.API {
	case answer.Images, answer.Transcription:
		return true
	}
	return b.ask.ServerTools
}

// What is reserved for extras until enough answers are known.
const (
	defaultSearches = 5     // calls of a tool of the server
	defaultByteRate = 1_000 // bytes of audio in a second: 8 kbit/s
	defaultSeconds  = 600   // of audio, at least
)

// extras returns what usage costs apart from tokens.
func (p *Price) extras(u *answer.Usage) amount {
	apart := answer.Usage{WebSearches: u.WebSearches, WebFetches: u.WebFetches, Images: u.Images, Seconds: u.Seconds}
	sum, _ := p.amount(&apart, "", 0)
	return sum - amount(perMoney*float64(p.Request))
}

// noteExtras learns what an answer has cost apart from tokens.
func (l *learned) noteExtras(a amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extras.add(int(min(float64(a.money()), jsonwalk.MaxNumber)))
}

// mostExtras returns what 95 % of the answers do not exceed apart from tokens.
func (l *learned) mostExtras(p *Price, b *bill) amount {
	u := answer.Usage{}
	switch b.ask.Route.API {
	case answer.Images:
		u.Images = max(1, min(b.ask.N, maxChoicesCharged))
	case answer.Transcription:
		u.Seconds = float64(max(defaultSeconds, b.bytes/defaultByteRate))
	}
	if b.ask.ServerTools {
		u.WebSearches, u.WebFetches = defaultSearches, defaultSearches
	}
	assumed := p.extras(&u)
	l.mu.Lock()
	defer l.mu.Unlock()
	if most, known := l.extras.most(); known && b.ask.ServerTools {
		return amount(perMoney * float64(most))
	} else if known {
		return max(assumed, amount(perMoney*float64(most)))
	}
	return assumed
}

// histogram counts numbers. It has four bins for each power of two. The zero value is
// empty.
type histogram struct {
	bins  [histogramSize]uint32
	total uint32
}

const histogramSize = 4 * 41

func (h *histogram) add(n int) {
	h.bins[bin(n)]++
	if h.total++; h.total >= 1<<10 { // older numbers count half
		h.total = 0
		for i := range h.bins {
			h.bins[i] /= 2
			h.total += h.bins[i]
		}
	}
}

// most returns what 95 % of the numbers do not exceed, and whether there are enough.
func (h *histogram) most() (n int, known bool) {
	if h.total < enoughAnswers {
		return 0, false
	}
	above := h.total / 20
	for b := len(h.bins) - 1; b > 0; b-- {
		if h.bins[b] > above {
			return upper(b), true
		}
		above -= h.bins[b]
	}
	return upper(0), true
}

func bin(n int) int {
	n = min(max(n, 1), jsonwalk.MaxNumber)
	power := bits.Len(uint(n)) - 1
	return 4*power + (n<<2>>power)&3
}

// upper returns the largest number of a bin.
func upper(bin int) int {
	power, part := bin/4, bin%4
	return ((5+part)<<power+3)>>2 - 1
}
