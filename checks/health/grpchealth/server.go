package grpchealth

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
)

// Server implements the service grpc.health.v1.Health. Make one with [New]. It is safe for
// concurrent use.
type Server struct {
	healthpb.UnimplementedHealthServer
	monitor *health.Monitor
	once    sync.Once
	down    chan struct{} // closed by Shutdown
}

var _ healthpb.HealthServer = (*Server)(nil)

// New returns a server that reports the state of m, which must run. It panics if m is nil.
func New(m *health.Monitor) *Server {
	if m == nil {
		panic("grpchealth: New: the monitor is nil")
	}
	return &Server{monitor: m, down: make(chan struct{})}
}

// Shutdown makes every service NOT_SERVING for good, whatever the monitor says later. Each
// Watch gets NOT_SERVING as its last message, and ends with the code Unavailable. Call it
// before [grpc.Server.GracefulStop], which waits for the end of each Watch.
func (s *Server) Shutdown() { s.once.Do(func() { close(s.down) }) }

func (s *Server) isDown() bool {
	select {
	case <-s.down:
		return true
	default:
		return false
	}
}

// serving returns the statuses of all services.
func (s *Server) serving(r health.Report) map[string]healthpb.HealthCheckResponse_ServingStatus {
	all := make(map[string]healthpb.HealthCheckResponse_ServingStatus, len(r.Components)+3)
	for _, c := range r.Components {
		all[c.Name] = of(c.Status)
	}
	all[""], all["live"], all["startup"] = of(r.Ready), of(r.Live), of(r.Startup)
	if s.isDown() {
		for name := range all {
			all[name] = healthpb.HealthCheckResponse_NOT_SERVING
		}
	}
	return all
}

func of(s checks.Status) healthpb.HealthCheckResponse_ServingStatus {
	if s.Opens() {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// Check returns the status of a service. The code of an unknown name is NotFound.
func (s *Server) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	serving, ok := s.serving(s.monitor.Report())[req.GetService()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "no component is called %q", req.GetService())
	}
	return &healthpb.HealthCheckResponse{Status: serving}, nil
}

// List returns the statuses of all services.
func (s *Server) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	list := &healthpb.HealthListResponse{Statuses: make(map[string]*healthpb.HealthCheckResponse)}
	for name, serving := range s.serving(s.monitor.Report()) {
		list.Statuses[name] = &healthpb.HealthCheckResponse{Status: serving}
	}
	return list, nil
}

// Watch sends the status of a service, and then each new one. The status of an unknown name
// is SERVICE_UNKNOWN. A slow receiver misses statuses in between, but never the last one.
func (s *Server) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-s.down:
			cancel()
		case <-ctx.Done():
		}
	}()
	last := healthpb.HealthCheckResponse_ServingStatus(-1)
	send := func(serving healthpb.HealthCheckResponse_ServingStatus) error {
		if serving == last {
			return nil
		}
		last = serving
		return stream.Send(&healthpb.HealthCheckResponse{Status: serving})
	}
	for report := range s.monitor.Watch(ctx) {
		serving, ok := s.serving(report)[req.GetService()]
		if !ok {
			serving = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if err := send(serving); err != nil {
			return err
		}
	}
	if !s.isDown() {
		return status.FromContextError(stream.Context().Err()).Err()
	}
	if err := send(healthpb.HealthCheckResponse_NOT_SERVING); err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "the server is shutting down")
}
