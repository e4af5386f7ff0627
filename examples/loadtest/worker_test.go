package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/loadtest/modeltest"
)

// certify writes an authority and a certificate for this host to a folder, and returns the
// flags for them.
func certify(t *testing.T, name string) (flags []string) {
	t.Helper()
	dir := t.TempDir()
	sign := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey, file string) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, by = template, key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(filepath.Join(dir, file+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return cert, key
	}
	ca, key := sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil, "ca")
	sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca, key, "tls")
	return []string{"-cert", filepath.Join(dir, "tls.crt"), "-key", filepath.Join(dir, "tls.key"), "-ca", filepath.Join(dir, "ca.crt")}
}

// TestWorkersJoin has two workers, each a process of its own, join an attack over HTTPS
// with mutual TLS. One of them is asked to end during the run: the other one sends the
// rest. A third one, which another authority has certified, is refused.
func TestWorkersJoin(t *testing.T) {
	model, err := modeltest.New(modeltest.Config{Seed: 1, TTFT: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	begun := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 20 {
			close(begun)
		}
		model.ServeHTTP(w, r)
	}))
	defer server.Close()
	flags, strange := certify(t, "fleet"), certify(t, "fleet")
	in, errs := io.Pipe()
	defer errs.Close()
	var out strings.Builder
	code := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		code <- run(ctx, console{out: &out, err: errs, getenv: func(string) string { return "" }},
			append([]string{"attack", "-url", server.URL, "-listen-workers", "127.0.0.1:0", "-workers-min", "2", "-worker-names", "fleet",
				"-duration", "8s", "-rate", "25", "-arrivals", "constant", "-output", "3"}, flags...))
	}()
	lines := bufio.NewScanner(in)
	coordinator := ""
	for coordinator == "" && lines.Scan() {
		_, after, _ := strings.Cut(lines.Text(), "join at ")
		coordinator, _, _ = strings.Cut(after, ";")
	}
	var log strings.Builder
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
		}
	}()

	refused := start(t, nil, append([]string{"serve-worker", "-join", coordinator, "-name", "stranger"}, strange...)...)
	if err := refused.Wait(); err == nil || !strings.Contains(refused.errs.String(), "certificate") {
		t.Errorf("a worker of another authority: %v: %s", err, refused.errs.String())
	}
	var workers []*process
	var files []string
	for i := range 2 {
		file := filepath.Join(t.TempDir(), "worker.jsonl")
		files = append(files, file)
		workers = append(workers, start(t, nil, append([]string{"serve-worker", "-join", coordinator, "-name", fmt.Sprintf("w%d", i), "-results", file}, flags...)...))
	}
	select {
	case <-begun:
	case c := <-code:
		t.Fatalf("exit code %d:\n%s%s", c, out.String(), log.String())
	}
	if err := workers[0].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for i, w := range workers { // the second one ends with the coordinator
		if err := w.Wait(); err != nil {
			t.Errorf("worker %d: %v: %s", i, err, w.errs.String())
		}
	}
	got := <-code
	_ = errs.Close()
	<-logged
	report := strings.Join(strings.Fields(out.String()), " ")
	if !strings.Contains(report, "the plan has 200 requests: 200 sent, 0 unsent, 0 missing") || strings.Contains(report, "LOST") || got != 0 && got != inconclusive && got != generatorFault {
		t.Errorf("exit code %d:\n%s\n%s", got, out.String(), log.String())
	}
	if !strings.Contains(report, "; left ") {
		t.Errorf("no worker has left:\n%s", out.String())
	}
	if code, again, errs := command(t, append([]string{"report"}, files...)...); code == wrongUse || !strings.Contains(again, "200 sent") {
		t.Errorf("the workers' own results: %d\n%s%s", code, again, errs)
	}
}
