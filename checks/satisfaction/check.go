package satisfaction

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Options configures [Check].
type Options struct {
	// Tally has the ratings. It is required.
	Tally *Tally `json:"-"`
	// Version is the version that is looked at. It is required.
	Version string
	// MinCSAT is the least CSAT, above 0 and below 1. With a version that is rated by thumbs
	// alone, it is the least share of thumbs up. It is required.
	MinCSAT float64
	// MinRatings is the least number of ratings. Default 100.
	MinRatings int
	// MinResponse is the least share of answers that are rated. Default 0.
	MinResponse float64
}

// Check returns a check that users are satisfied with a version. Pass means that the whole 95 %
// interval is at or above MinCSAT, Fail that it is wholly below. Otherwise, with too few ratings
// or too low a response rate, the result is Unknown. Evidence: the numbers of [Summary].
func Check(o Options) checks.Check {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "satisfaction", Field: "Options." + field, Value: value, Want: want})
	}
	if o.Tally == nil {
		bad("Tally", nil, "a tally")
	}
	if o.Version == "" {
		bad("Version", o.Version, "a version")
	}
	if !(o.MinCSAT > 0 && o.MinCSAT < 1) {
		bad("MinCSAT", o.MinCSAT, "a number between 0 and 1")
	}
	if o.MinRatings == 0 {
		o.MinRatings = 100
	}
	if o.MinRatings < 0 {
		bad("MinRatings", o.MinRatings, "a positive number, or 0 for 100")
	}
	if !(o.MinResponse >= 0 && o.MinResponse <= 1) {
		bad("MinResponse", o.MinResponse, "a number from 0 to 1")
	}
	return probing.New("satisfaction", 0, o, errors.Join(errs...), func(context.Context) checks.Result {
		s := o.Tally.Summary(o.Version)
		share := s.CSAT
		if share.Of == 0 {
			share = s.Up
		}
		r := checks.Result{Summary: s.String(), Evidence: map[string]string{"answers": strconv.Itoa(s.Answers), "ratings": strconv.Itoa(s.Ratings),
			"share": number(share.Value), "low": number(share.Low), "high": number(share.High)}}
		switch {
		case share.Of < o.MinRatings:
			r.Summary += fmt.Sprintf("; want at least %d ratings", o.MinRatings)
		case s.Response < o.MinResponse:
			r.Summary += fmt.Sprintf("; want at least %.3g %% rated", 100*o.MinResponse)
		case share.Low >= o.MinCSAT:
			r.Status = checks.Pass
		case share.High < o.MinCSAT:
			r.Status = checks.Fail
			r.Summary += fmt.Sprintf("; want %.3g %%", 100*o.MinCSAT)
		default:
			r.Summary += fmt.Sprintf("; not known whether it is %.3g %%", 100*o.MinCSAT)
		}
		return r
	})
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 5, 64) }
