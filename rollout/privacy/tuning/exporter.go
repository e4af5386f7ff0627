package tuning

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math/bits"
	"strings"
	"unicode"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/privacy"
)

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "tuning", Field: field, Value: value, Want: want}
}

// Feedback is an answer of a model with the opinion of a person.
type Feedback struct {
	Person, Tenant  string
	Request         string // ID of the request
	Version         string // of the model
	Rating          float64
	Prompt, Answer  string
	Comment         string
	Characteristics map[string]string // quasi-identifiers, such as zip and age
}

// Example is a line of an export.
type Example struct {
	Person          string            `json:"person"` // the pseudonym for the tenant
	Request         string            `json:"request"`
	Version         string            `json:"version"`
	Rating          float64           `json:"rating"`
	Prompt          string            `json:"prompt"`
	Answer          string            `json:"answer"`
	Comment         string            `json:"comment,omitempty"`
	Characteristics map[string]string `json:"characteristics,omitempty"`
	Consent         string            `json:"consent"`  // the record of the consent
	Redactor        string            `json:"redactor"` // its digest
}

// Quasi is a characteristic by which people could be recognised together with others.
type Quasi struct {
	Name string
	// Levels are generalisations, each coarser than the one before: 34 becomes 30-39, then
	// "adult". They are tried in this order until K people are alike.
	Levels []func(value string) string
}

// Config configures an [Exporter]. Consent, Redactor and Pseudonyms are required.
type Config struct {
	// Purpose is what the export is for, such as "tuning".
	Purpose string
	// Consent returns the record of a person's consent to the purpose, "" without one or
	// if it was withdrawn. It is asked right before a line is written.
	Consent    func(ctx context.Context, person, purpose string) (record string, err error)
	Redactor   *privacy.Redactor
	Pseudonyms *privacy.Pseudonyms
	// Erased reports whether a person was erased, as [privacy.Vault.Erased] does. If nil, it is not asked.
	Erased func(ctx context.Context, person string) (privacy.Tombstone, bool, error)
	// Quasi are the quasi-identifiers, and K how many people must have the same ones. A
	// characteristic that is not listed is left out. Default 5.
	Quasi []Quasi
	K     int
	// Notes gets the sum of the export, if it is set.
	Notes privacy.Notes
}

// Export says what became of the rows of an export.
type Export struct {
	Purpose    string `json:"purpose"`
	Written    int    `json:"written"`
	NoConsent  int    `json:"no_consent"`
	Erased     int    `json:"erased"`
	Duplicates int    `json:"duplicates"`
	Suppressed int    `json:"suppressed"` // fewer than K people are alike
	K          int    `json:"k"`          // people in the smallest group, 0 without lines
	Sum        string `json:"sum"`        // "sha256:" and 64 hexadecimal digits, of the file
	Redactor   string `json:"redactor"`
}

// Exporter writes feedback that may be used for tuning: with consent, redacted, pseudonymous,
// without near duplicates, and k-anonymous. Make one with [New]. It is safe for
// concurrent use.
type Exporter struct{ cfg Config }

// New returns an exporter. Errors join a [*checks.InvalidError] for each problem.
func New(c Config) (*Exporter, error) {
	var errs []error
	if c.Purpose == "" {
		errs = append(errs, invalid("Config.Purpose", "empty", "a purpose that people consent to"))
	}
	if c.Consent == nil {
		errs = append(errs, invalid("Config.Consent", nil, "a function"))
	}
	if c.Redactor == nil {
		errs = append(errs, invalid("Config.Redactor", nil, "a redactor"))
	}
	if c.Pseudonyms == nil {
		errs = append(errs, invalid("Config.Pseudonyms", nil, "pseudonyms"))
	}
	if c.K < 0 || c.K == 1 {
		errs = append(errs, invalid("Config.K", c.K, "at least 2, or 0 for 5"))
	}
	seen := make(map[string]bool)
	for i, q := range c.Quasi {
		if q.Name == "" || seen[q.Name] {
			errs = append(errs, invalid(fmt.Sprintf("Config.Quasi[%d].Name", i), q.Name, "a name that occurs once"))
		}
		seen[q.Name] = true
		for j, f := range q.Levels {
			if f == nil {
				errs = append(errs, invalid(fmt.Sprintf("Config.Quasi[%d].Levels[%d]", i, j), nil, "a function"))
			}
		}
	}
	if c.K == 0 {
		c.K = 5
	}
	return &Exporter{c}, errors.Join(errs...)
}

// Write writes rows as JSON lines. It holds the rows in memory, since whether a row may be
// written depends on the others. If it returns an error, the file must not be used.
func (e *Exporter) Write(ctx context.Context, w io.Writer, rows iter.Seq2[Feedback, error]) (Export, error) {
	x := Export{Purpose: e.cfg.Purpose, Redactor: e.cfg.Redactor.Digest()}
	var kept []Feedback
	near := make(nearTexts)
	for row, err := range rows {
		if err != nil {
			return x, fmt.Errorf("tuning: export: %w", err)
		}
		if _, ok, err := e.allowed(ctx, row.Person, &x); err != nil {
			return x, err
		} else if !ok {
			continue
		}
		if near.seen(simhash(row.Prompt + "\n" + row.Answer)) {
			x.Duplicates++
			continue
		}
		kept = append(kept, row)
	}
	rows2, suppressed := e.anonymous(kept)
	x.Suppressed = suppressed
	h := sha256.New()
	sizes := make(map[string]map[string]bool) // the people of each group
	for _, row := range rows2 {
		consent, ok, err := e.allowed(ctx, row.Person, &x) // it may have been withdrawn
		if err != nil {
			return x, err
		}
		if !ok {
			continue
		}
		line, err := json.Marshal(e.example(row, consent))
		if err != nil {
			return x, fmt.Errorf("tuning: export: %w", err)
		}
		line = append(line, '\n')
		h.Write(line)
		if _, err := w.Write(line); err != nil {
			return x, fmt.Errorf("tuning: export: %w", err)
		}
		x.Written++
		g := e.group(row)
		if sizes[g] == nil {
			sizes[g] = make(map[string]bool)
		}
		sizes[g][person(row)] = true
	}
	for _, people := range sizes {
		if x.K == 0 || len(people) < x.K {
			x.K = len(people)
		}
	}
	x.Sum = "sha256:" + hex.EncodeToString(h.Sum(nil))
	if x.Written > 0 && x.K < e.cfg.K && len(e.cfg.Quasi) > 0 {
		return x, fmt.Errorf("tuning: export: consent was withdrawn while it was written, and only %d people are alike, want %d; write it again", x.K, e.cfg.K)
	}
	if e.cfg.Notes != nil {
		if err := e.cfg.Notes.Note(ctx, "export", x); err != nil {
			return x, fmt.Errorf("tuning: export: %w", err)
		}
	}
	return x, nil
}

// allowed returns the consent of a person who was not erased, and counts those who have none.
func (e *Exporter) allowed(ctx context.Context, person string, x *Export) (consent string, ok bool, err error) {
	if e.cfg.Erased != nil {
		_, gone, err := e.cfg.Erased(ctx, person)
		if err != nil {
			return "", false, fmt.Errorf("tuning: export: %w", err)
		}
		if gone {
			x.Erased++
			return "", false, nil
		}
	}
	consent, err = e.cfg.Consent(ctx, person, e.cfg.Purpose)
	if err != nil {
		return "", false, fmt.Errorf("tuning: export: consent: %w", err)
	}
	if consent == "" {
		x.NoConsent++
	}
	return consent, consent != "", nil
}

func (e *Exporter) example(row Feedback, consent string) Example {
	text := func(s string) string { // the person may be named without being a value of a kind
		s = e.cfg.Redactor.Text(s)
		if row.Person != "" {
			s = strings.ReplaceAll(s, row.Person, "[PERSON]")
		}
		return s
	}
	out := Example{Person: e.cfg.Pseudonyms.Of(row.Tenant, row.Person), Request: row.Request, Version: row.Version, Rating: row.Rating,
		Prompt: text(row.Prompt), Answer: text(row.Answer), Comment: text(row.Comment), Consent: consent, Redactor: e.cfg.Redactor.Digest()}
	for _, q := range e.cfg.Quasi {
		if v, ok := row.Characteristics[q.Name]; ok {
			if out.Characteristics == nil {
				out.Characteristics = make(map[string]string)
			}
			out.Characteristics[q.Name] = text(v)
		}
	}
	return out
}

func (e *Exporter) quasi(row Feedback) []string {
	values := make([]string, len(e.cfg.Quasi))
	for i, q := range e.cfg.Quasi {
		values[i] = row.Characteristics[q.Name]
	}
	return values
}

func (e *Exporter) group(row Feedback) string { return tuple(e.quasi(row)...) }

// person identifies the person of a row.
func person(row Feedback) string { return tuple(row.Tenant, row.Person) }

// tuple joins values, each after its size, so that other values give another text.
func tuple(values ...string) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%d:%s", len(v), v)
	}
	return b.String()
}

// anonymous returns the rows of groups of at least K people with the same quasi-identifiers. Rows of
// smaller groups are generalised, level by level, and at the end left out.
func (e *Exporter) anonymous(rows []Feedback) (kept []Feedback, suppressed int) {
	if len(e.cfg.Quasi) == 0 {
		return rows, 0
	}
	levels := 0
	for _, q := range e.cfg.Quasi {
		levels = max(levels, len(q.Levels))
	}
	small := rows
	for level := range levels + 1 {
		count := make(map[string]int)
		people := make(map[string]bool) // the rows of one person are one
		for _, row := range small {
			if who := tuple(e.group(row), person(row)); !people[who] {
				people[who] = true
				count[e.group(row)]++
			}
		}
		var rest []Feedback
		for _, row := range small {
			if count[e.group(row)] >= e.cfg.K {
				kept = append(kept, row)
			} else {
				rest = append(rest, row)
			}
		}
		if small = rest; level == levels {
			break
		}
		for i := range small {
			coarser := make(map[string]string, len(e.cfg.Quasi))
			for _, q := range e.cfg.Quasi {
				v := small[i].Characteristics[q.Name]
				if level < len(q.Levels) {
					v = q.Levels[level](v)
				}
				coarser[q.Name] = v
			}
			small[i].Characteristics = coarser
		}
	}
	return kept, len(small)
}

// K returns the k of a table of quasi-identifiers: the size of the smallest group of equal
// rows (Sweeney, k-anonymity, 2002), 0 for an empty table.
func K(rows [][]string) int {
	count := make(map[string]int)
	for _, row := range rows {
		count[tuple(row...)]++
	}
	k := 0
	for _, n := range count {
		if k == 0 || n < k {
			k = n
		}
	}
	return k
}

// simhash is the hash of a text that differs little for texts that differ little: Charikar,
// Similarity estimation techniques from rounding algorithms, 2002. It is of pairs of words, in
// lower case and without punctuation.
func simhash(text string) uint64 {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var weight [64]int
	h := fnv.New64a()
	for i := range words {
		h.Reset()
		_, _ = io.WriteString(h, words[i])
		if i+1 < len(words) {
			_, _ = io.WriteString(h, " "+words[i+1])
		}
		sum := mix(h.Sum64())
		for b := range weight {
			if sum>>b&1 == 1 {
				weight[b]++
			} else {
				weight[b]--
			}
		}
	}
	var hash uint64
	for b, w := range weight {
		if w > 0 {
			hash |= 1 << b
		}
	}
	return hash
}

// mix spreads the bits of a hash (the finaliser of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// maxDistance is how many bits of the hashes of near duplicates differ at most.
const maxDistance = 3

// nearTexts finds hashes at a distance of at most 3 bits: two of these are equal in one of
// four quarters.
type nearTexts map[[2]uint64][]uint64

// seen adds a hash, and reports whether there was one near it.
func (n nearTexts) seen(hash uint64) bool {
	for part := range uint64(4) {
		for _, other := range n[[2]uint64{part, hash >> (16 * part) & 0xffff}] {
			if bits.OnesCount64(other^hash) <= maxDistance {
				return true
			}
		}
	}
	for part := range uint64(4) {
		key := [2]uint64{part, hash >> (16 * part) & 0xffff}
		n[key] = append(n[key], hash)
	}
	return false
}
