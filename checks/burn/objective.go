package burn

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Objective is the number of good requests in a million: 999_000 is 99.9 %. [New]
// rejects the zero Objective.
type Objective uint32

const million = 1_000_000

// ParseObjective parses a percentage above 0 and below 100 with up to four decimals,
// "99.9%" or "99.95". Every error is a [*checks.InvalidError].
func ParseObjective(text string) (Objective, error) {
	digits := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%"))
	whole, fraction, _ := strings.Cut(digits, ".")
	if len(fraction) <= 4 && len(whole) > 0 && len(whole) <= 3 {
		n, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", 4-len(fraction)), 10, 32)
		if err == nil && n > 0 && n < million {
			return Objective(n), nil
		}
	}
	return 0, &checks.InvalidError{Package: "burn", Field: "Objective", Value: strconv.Quote(text), Want: "a percentage above 0 and below 100 with up to 4 decimals, such as 99.9%"}
}

// MustObjective is [ParseObjective] for constants. It panics if text is not an objective.
func MustObjective(text string) Objective {
	o, err := ParseObjective(text)
	if err != nil {
		panic(err)
	}
	return o
}

// String returns o as a percentage: "99.9%".
func (o Objective) String() string {
	s := fmt.Sprintf("%d.%04d", o/10_000, o%10_000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + "%"
}

// MarshalText implements [encoding.TextMarshaler].
func (o Objective) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the input of
// [ParseObjective].
func (o *Objective) UnmarshalText(text []byte) (err error) {
	*o, err = ParseObjective(string(text))
	return err
}

// allowed returns the number of bad requests in a million that are allowed.
func (o Objective) allowed() uint64 { return uint64(million - min(o, million)) }
