package checkstest

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/serin-go/serin/checks/external"
	"github.com/serin-go/serin/internal/suitetest"
)

// Queries are queries in the language of a source of metrics. Their answers do not change
// during a test.
type Queries struct {
	// Scalar has one value, and Series has several values.
	Scalar, Series string
	// NoData has an answer without values.
	NoData string
}

// Source runs the conformance suite of [external.Source], a source of metrics such as a
// monitoring system: calls may be repeated and concurrent, the order of values is stable,
// an answer without values is [external.ErrNoData], and a call returns after its context
// has ended. open returns a source and its queries, and closes resources with t.Cleanup.
// Source calls open for each part. Run the suite with the race detector.
func Source(t *testing.T, open func(t *testing.T) (external.Source, Queries)) {
	for name, part := range map[string]func(*testing.T, external.Source, Queries){
		"Values": values, "NoData": noData, "Concurrent": concurrentQueries, "Ended": endedQueries,
	} {
		t.Run(name, func(t *testing.T) {
			s, q := open(t)
			part(t, s, q)
		})
	}
}

func query(ctx context.Context, t *testing.T, s external.Source, text string) (values []float64, err error) {
	t.Helper()
	suitetest.Call(t, "Query", func() { values, err = s.Query(ctx, text) })
	return values, err
}

// same reports whether the values are equal; NaN is equal to NaN.
func same(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) })
}

func values(t *testing.T, s external.Source, q Queries) {
	for _, tt := range []struct {
		text  string
		least int
		most  int
	}{{q.Scalar, 1, 1}, {q.Series, 2, math.MaxInt}} {
		first, err := query(t.Context(), t, s, tt.text)
		if err != nil || len(first) < tt.least || len(first) > tt.most {
			t.Errorf("Query(%q) = %v, %v, want at least %d values, at most %d", tt.text, first, err, tt.least, tt.most)
		}
		given := slices.Clone(first)
		for i := range first {
			first[i]++ // the caller owns the values
		}
		for range 3 {
			if again, err := query(t.Context(), t, s, tt.text); err != nil || !same(given, again) {
				t.Errorf("Query(%q) = %v, and then %v, %v", tt.text, given, again, err)
			}
		}
	}
}

func noData(t *testing.T, s external.Source, q Queries) {
	for range 2 {
		if got, err := query(t.Context(), t, s, q.NoData); !errors.Is(err, external.ErrNoData) || len(got) > 0 {
			t.Errorf("Query(%q) = %v, %v, want an error that wraps %v", q.NoData, got, err, external.ErrNoData)
		}
	}
}

func concurrentQueries(t *testing.T, s external.Source, q Queries) {
	scalar, err := query(t.Context(), t, s, q.Scalar)
	series, seriesErr := query(t.Context(), t, s, q.Series)
	if err := errors.Join(err, seriesErr); err != nil {
		t.Fatal(err)
	}
	suitetest.Together(t, "Query", func(i int) {
		text, want := q.Scalar, scalar
		if i%2 > 0 {
			text, want = q.Series, series
		}
		for range 3 {
			if got, err := s.Query(t.Context(), text); err != nil || !same(got, want) {
				t.Errorf("Query(%q) = %v, %v in concurrent calls, want %v", text, got, err, want)
			}
		}
	})
}

func endedQueries(t *testing.T, s external.Source, q Queries) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, text := range []string{q.Scalar, q.Series, q.NoData} {
		if got, err := query(ended, t, s, text); !errors.Is(err, context.Canceled) {
			t.Errorf("Query(%q) = %v, %v after its context has ended, want an error that wraps %v", text, got, err, context.Canceled)
		}
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if got, err := query(late, t, s, q.Scalar); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Query(%q) = %v, %v after its deadline, want an error that wraps %v", q.Scalar, got, err, context.DeadlineExceeded)
	}
	ending, cancel := context.WithCancel(t.Context())
	go cancel()
	if got, err := query(ending, t, s, q.Scalar); err != nil && !errors.Is(err, context.Canceled) || err == nil && len(got) != 1 {
		t.Errorf("Query(%q) = %v, %v while its context ends, want one value, or an error that wraps %v", q.Scalar, got, err, context.Canceled)
	}
	if got, err := query(t.Context(), t, s, q.Scalar); err != nil || len(got) != 1 {
		t.Errorf("Query(%q) = %v, %v after other contexts have ended, want one value", q.Scalar, got, err)
	}
}
