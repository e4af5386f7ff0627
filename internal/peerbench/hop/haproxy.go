package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// errMissing means that a program is not installed.
var errMissing = errors.New("hop: not installed")

// haproxyConfig has no logs, and keeps connections to its server open. The arguments
// are the number of threads and the two addresses.
const haproxyConfig = `global
	nbthread %d
	maxconn 4096
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	option http-no-delay
	http-reuse always
	option forwardfor
frontend callers
	bind %s
	default_backend model
backend model
	server model %s maxconn 4096
`

// startHAProxy starts the HAProxy of the system.
func startHAProxy(model string) (hop, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy" // which is not in the PATH of every user
		if _, err := os.Stat(program); err != nil {
			return hop{}, errMissing
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return hop{}, err
	}
	address := l.Addr().String()
	_ = l.Close() // HAProxy opens it itself
	folder, err := os.MkdirTemp("", "hop")
	if err != nil {
		return hop{}, err
	}
	config := filepath.Join(folder, "haproxy.cfg")
	text := fmt.Sprintf(haproxyConfig, runtime.GOMAXPROCS(0), address, model)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return hop{}, errors.Join(err, os.RemoveAll(folder))
	}
	cmd := exec.Command(program, "-db", "-f", config)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return hop{}, errors.Join(err, os.RemoveAll(folder))
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(folder)
	}
	for range 100 { // until it listens
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			cpu := func() (time.Duration, error) { return spent(cmd.Process.Pid) }
			return hop{name: "haproxy", address: address, cpu: cpu, stop: stop}, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return hop{}, errors.New("hop: haproxy does not listen")
}

// spent returns the processor time that all threads of another process have used. It
// is the figure of getrusage, which Linux shows of other processes in this file only.
func spent(pid int) (total time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, errors.New("hop: no schedstat: the processor time of other processes needs Linux"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		var one time.Duration
		if _, err := fmt.Sscan(string(text), (*int64)(&one)); err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}
