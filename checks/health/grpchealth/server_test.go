package grpchealth_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/checks/health/grpchealth"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
	unknown    = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
)

// service is a real gRPC server with a component "store".
type service struct {
	state   atomic.Int64 // of the store
	monitor *health.Monitor
	server  *grpchealth.Server
	client  healthpb.HealthClient
}

func start(t testing.TB) *service {
	t.Helper()
	s := new(service)
	s.state.Store(int64(checks.Pass))
	var err error
	s.monitor, err = health.New(health.Config{
		Every: 5 * time.Millisecond, FailAfter: 1, PassAfter: 1, Dwell: -1, Stale: time.Hour,
		Components: []health.Component{{Name: "store", Check: checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Status(s.state.Load())}
		})}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.monitor.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	s.server = grpchealth.New(s.monitor)
	healthpb.RegisterHealthServer(server, s.server)
	running.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	s.client = healthpb.NewHealthClient(connection)
	return s
}

// until waits until a service has a status.
func (s *service) until(t *testing.T, name string, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for range 10_000 {
		r, err := s.client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		if r.GetStatus() == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%q does not become %v", name, want)
}

func TestCheck(t *testing.T) {
	s := start(t)
	for _, name := range []string{"", "live", "startup", "store"} {
		s.until(t, name, serving)
	}
	if _, err := s.client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown name: %v", err)
	}
	s.state.Store(int64(checks.Fail))
	s.until(t, "store", notServing)
	s.until(t, "", notServing)
	s.until(t, "live", serving)
	s.state.Store(int64(checks.Warn)) // a warning serves
	s.until(t, "store", serving)
	list, err := s.client.List(t.Context(), &healthpb.HealthListRequest{})
	if err != nil || len(list.GetStatuses()) != 4 || list.GetStatuses()["store"].GetStatus() != serving {
		t.Errorf("list: %v, %v", list, err)
	}
}

func TestWatch(t *testing.T) {
	s := start(t)
	s.until(t, "", serving)
	for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, "store": serving, "nobody": unknown} {
		stream, err := s.client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil || r.GetStatus() != want {
			t.Errorf("%q begins with %v, %v", name, r.GetStatus(), err)
		}
		if name == "nobody" {
			continue
		}
		s.state.Store(int64(checks.Fail))
		if r, err := stream.Recv(); err != nil || r.GetStatus() != notServing {
			t.Errorf("%q: %v, %v", name, r.GetStatus(), err)
		}
		s.state.Store(int64(checks.Pass))
		if r, err := stream.Recv(); err != nil || r.GetStatus() != serving {
			t.Errorf("%q: %v, %v", name, r.GetStatus(), err)
		}
	}
}

// TestShutdownIsFinal has the store flap while the server shuts down. What comes after
// Shutdown is NOT_SERVING, and so is the last message of each Watch.
func TestShutdownIsFinal(t *testing.T) {
	s := start(t)
	s.until(t, "", serving)
	var watches sync.WaitGroup
	for range 10 {
		stream, err := s.client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		watches.Go(func() {
			last := serving
			for {
				r, err := stream.Recv()
				if err != nil {
					if last != notServing || status.Code(err) != codes.Unavailable {
						t.Errorf("a watch ends with %v, %v", last, err)
					}
					return
				}
				last = r.GetStatus()
			}
		})
	}
	done := make(chan struct{})
	var flapping sync.WaitGroup
	flapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				s.state.Store(int64([]checks.Status{checks.Fail, checks.Pass}[i%2]))
			}
		}
	})
	s.server.Shutdown()
	s.server.Shutdown() // twice is once
	for range 10_000 {
		r, err := s.server.Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || r.GetStatus() != notServing {
			t.Fatalf("after Shutdown: %v, %v", r.GetStatus(), err)
		}
	}
	close(done)
	flapping.Wait()
	watches.Wait()
}

func ExampleNew() {
	monitor, err := health.New(health.Config{})
	if err != nil {
		return
	}
	server := grpc.NewServer()
	check := grpchealth.New(monitor)
	healthpb.RegisterHealthServer(server, check)
	// At the end: monitor.Drain, check.Shutdown, server.GracefulStop.
}
