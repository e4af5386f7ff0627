package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// process is another process of this program, which answers a line with a line.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	address string // host and port
}

// start starts this program in another role.
func start(role, argument string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, role, argument)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := p.out.ReadString('\n')
	p.address = strings.TrimSpace(line)
	return p, err
}

// ask sends a command and returns what the process says.
func (p *process) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	line = strings.TrimSpace(line)
	if text, bad := strings.CutPrefix(line, "error "); bad && err == nil {
		err = errors.New(text)
	}
	return line, err
}

func (p *process) stop() {
	_ = p.in.Close() // at which it ends
	_ = p.cmd.Wait()
}

// answer reads commands until the parent ends, and answers each.
func answer(address string, do func(command string) (string, error)) error {
	fmt.Println(address)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		text, err := do(in.Text())
		if err != nil {
			text = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(text)
	}
	return in.Err()
}

// observe answers the commands about the process itself: its processor time, and the
// beginning and the end of a profile.
func observe(command string) (string, error) {
	verb, path, _ := strings.Cut(command, " ")
	switch verb {
	case "cpu":
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return fmt.Sprint(u.Utime.Nano() + u.Stime.Nano()), err
	case "profile":
		f, err := os.Create(path)
		if err != nil {
			return "", err
		}
		return "", pprof.StartCPUProfile(f)
	case "end":
		pprof.StopCPUProfile()
		return "", nil
	}
	return "", fmt.Errorf("command %q is unknown", command)
}

// hop is what stands between the callers and the model server.
type hop struct {
	name, address string
	process       *process // nil for another program
	cpu           func() (time.Duration, error)
	stop          func()
}

// startHop starts a hop that goes to the server at address model.
func startHop(name, model string) (hop, error) {
	if name == "haproxy" {
		return startHAProxy(model)
	}
	p, err := start(name, model)
	if err != nil {
		return hop{}, fmt.Errorf("hop: start %s: %w", name, err)
	}
	return hop{name, p.address, p, func() (d time.Duration, err error) {
		text, err := p.ask("cpu")
		if err == nil {
			_, err = fmt.Sscan(text, (*int64)(&d))
		}
		return d, err
	}, p.stop}, nil
}

// profile begins the profile of a hop, or ends the one under way if there is no
// folder.
func (h hop) profile(folder, answer string) (err error) {
	switch {
	case h.process == nil:
	case folder == "":
		_, err = h.process.ask("end")
	default:
		if err = os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		_, err = h.process.ask("profile %s", filepath.Join(folder, h.name+"-"+answer+".pprof"))
	}
	return err
}
