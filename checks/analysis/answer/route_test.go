package answer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
)

func TestRouteOf(t *testing.T) {
	eachRoute(func(method, path string, want answer.Route) {
		if got := answer.RouteOf(method, path); got != want {
			t.Errorf("RouteOf(%q, %q) = %+v, want %+v", method, path, show(got), show(want))
		}
	})
}

func show(r answer.Route) string {
	return fmt.Sprintf("%v %v stream=%v", r.Kind, r.API, r.Stream)
}

// Any prefix may stand before a path, and one slash after it.
func TestRouteOfPrefix(t *testing.T) {
	eachRoute(func(method, path string, want answer.Route) {
		if want == unknown || len(path) < 2 || path[0] != '/' {
			return
		}
		for _, p := range []string{"/llm/eu-west" + path, path + "/"} {
			if strings.HasPrefix(path, "/messages") || strings.HasSuffix(p, "//") {
				continue // needs a version before it
			}
			if got := answer.RouteOf(method, p); got != want {
				t.Errorf("RouteOf(%q, %q) = %+v, want %+v", method, p, show(got), show(want))
			}
		}
	})
}

// What lies below a resource or a command to the server is never an inference.
func TestRouteOfFamilyWins(t *testing.T) {
	for family, want := range map[string]answer.Route{
		"files": resource, "batches": resource, "threads": resource, "fine_tuning": resource,
		"responses": resource, "organization": control, "projects": control,
	} {
		for _, tail := range []string{"x/chat/completions", "x/messages", "x/y/responses", "x/models/m:generateContent"} {
			path := "/v1/" + family + "/" + tail
			if got := answer.RouteOf("POST", path); got != want {
				t.Errorf("RouteOf(POST, %q) = %+v, want %+v", path, show(got), show(want))
			}
		}
	}
}

func TestRouteOfEmptyMethod(t *testing.T) {
	if got := answer.RouteOf("", "/v1/models"); got != auxiliary {
		t.Errorf("got %v, want what GET gives", show(got))
	}
	if got := answer.RouteOf("", ""); got != auxiliary {
		t.Errorf("an empty path: got %v, want what / gives", show(got))
	}
}

func TestRouteOfAllocs(t *testing.T) {
	n := testing.AllocsPerRun(10, func() {
		eachRoute(func(method, path string, _ answer.Route) {})
	})
	m := testing.AllocsPerRun(10, func() {
		eachRoute(func(method, path string, _ answer.Route) { answer.RouteOf(method, path) })
	})
	if m != n {
		t.Errorf("RouteOf allocates: %v with it, %v without", m, n)
	}
}

func TestMeasured(t *testing.T) {
	want := map[answer.Kind]bool{
		answer.UnknownKind: true, answer.Inference: true, answer.Realtime: true,
		answer.Auxiliary: false, answer.Resource: false, answer.Control: false,
	}
	for kind, want := range want {
		if got := (answer.Route{Kind: kind}).Measured(); got != want {
			t.Errorf("%v: Measured = %v, want %v", kind, got, want)
		}
	}
}

func FuzzRouteOf(f *testing.F) {
	eachRoute(func(method, path string, _ answer.Route) { f.Add(method, path) })
	f.Fuzz(func(t *testing.T, method, path string) {
		r := answer.RouteOf(method, path)
		if r != answer.RouteOf(method, path) {
			t.Fatal("not pure")
		}
		if r.Kind == answer.Inference && method != "POST" {
			t.Errorf("%q %q is an inference", method, path)
		}
		if r.Kind != answer.Inference && (r.API != answer.Any || r.Stream) {
			t.Errorf("%q %q: %v has an interface", method, path, show(r))
		}
		if method != "HEAD" && method != "OPTIONS" && r != unknown {
			for _, bad := range []string{"//", "/./", "/../"} {
				if strings.Contains(path, bad) {
					t.Errorf("%q %q with %q is %v", method, path, bad, show(r))
				}
			}
		}
	})
}

func ExampleRouteOf() {
	for _, path := range []string{"/v1/chat/completions", "/v1/files", "/sleep"} {
		r := answer.RouteOf("POST", path)
		fmt.Println(path, r.Kind, r.API, r.Measured())
	}
	// Output:
	// /v1/chat/completions inference chat true
	// /v1/files resource any false
	// /sleep control any false
}
