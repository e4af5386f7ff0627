package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/client"
)

// auditTrail verifies and exports the audit trail.
func auditTrail(ctx context.Context, t *tool, args []string) error {
	if len(args) == 0 {
		return exit{wrongUse, "write ctl audit verify, export, checkpoint or prove"}
	}
	run, ok := map[string]func(context.Context, *tool, []string) error{
		"verify": auditVerify, "export": auditExport, "checkpoint": auditCheckpoint, "prove": auditProve,
	}[args[0]]
	if !ok && args[0] != "-h" && args[0] != "-help" {
		return exit{wrongUse, fmt.Sprintf("unknown command audit %s; want verify, export, checkpoint or prove", args[0])}
	}
	if !ok {
		_, err := t.parse(t.flags("audit", ""), args, 0, 0)
		return err
	}
	return run(ctx, t, args[1:])
}

// auditFlags are the flags that name what a log is compared with.
type auditFlags struct{ checkpoint, key string }

func (a *auditFlags) flags(fs *flag.FlagSet) {
	fs.StringVar(&a.checkpoint, "checkpoint", "", "a `file` with an earlier checkpoint, which the log in a file must extend")
	fs.StringVar(&a.key, "key", "", "the verifier `key` of checkpoints and archives, as note.GenerateKey makes it")
}

// verifier returns the verifier of signatures, or nil without a key.
func (a *auditFlags) verifier() (note.Verifier, error) {
	if a.key == "" {
		return nil, nil
	}
	v, err := note.NewVerifier(a.key)
	if err != nil {
		return nil, exit{wrongUse, fmt.Sprintf("-key: %v", err)}
	}
	return v, nil
}

// auditVerify verifies files, or asks the server to verify what it has.
func auditVerify(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("audit", "")
	var a auditFlags
	a.flags(fs)
	rest, err := t.parse(fs, args, 0, 1000)
	if err != nil {
		return err
	}
	if len(rest) > 1 || len(rest) == 1 && isFile(rest[0]) {
		return a.files(t, rest)
	}
	if a.checkpoint != "" || a.key != "" { // which the server would not be compared with
		return exit{wrongUse, "-checkpoint and -key verify files; write ctl audit export > audit.jsonl, and ctl audit verify audit.jsonl with them"}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	target, err := t.target(ctx, c, rest)
	if err != nil {
		return err
	}
	v, err := c.Verify(ctx, target)
	if err != nil {
		return err
	}
	if err := t.verified(target, v); err != nil {
		return err
	}
	if !v.Sound {
		return exit{failed, "the audit trail is not as it was written"}
	}
	return nil
}

func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// files verifies files.
func (a *auditFlags) files(t *tool, names []string) error {
	bad := 0
	for _, name := range names {
		v, err := a.file(name)
		if err != nil {
			return err
		}
		if !v.Sound {
			bad++
		}
		if err := t.verified(name, v); err != nil {
			return err
		}
	}
	if bad > 0 {
		return exit{failed, fmt.Sprintf("%d of %d files are not as they were written", bad, len(names))}
	}
	return nil
}

// file verifies an export, a journal or an archive.
func (a *auditFlags) file(name string) (client.Verification, error) {
	var v client.Verification
	verifier, err := a.verifier()
	if err != nil {
		return v, err
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return v, err
	}
	log, err := audit.ReadJSONL(bytes.NewReader(body))
	if err != nil && verifier != nil {
		var archived audit.Archived
		if archived, err = audit.ReadArchive(bytes.NewReader(body), verifier); err == nil {
			log = archived.Log
		}
	}
	if err == nil {
		err = log.Verify()
	}
	if err == nil && a.checkpoint != "" {
		err = a.extends(log, verifier)
	}
	if log != nil {
		v.Events, v.Archived = log.Len(), log.Archived()
		if root, err := log.Root(log.Archived() + log.Len()); err == nil {
			v.Root = base64.StdEncoding.EncodeToString(root[:])
		}
		for _, e := range log.Events() {
			v.Target = e.Rollout.Target()
		}
	}
	v.Sound = err == nil && v.Events > 0
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case ok:
		for _, one := range joined.Unwrap() {
			v.Problems = append(v.Problems, one.Error())
		}
	case err != nil:
		v.Problems = append(v.Problems, err.Error())
	case v.Events == 0:
		v.Problems = append(v.Problems, "there are no events")
	}
	return v, nil
}

// extends reports whether a log extends the checkpoint.
func (a *auditFlags) extends(log *audit.Log, v note.Verifier) error {
	if v == nil {
		return errors.New("a checkpoint needs the -key that has signed it")
	}
	signed, err := os.ReadFile(a.checkpoint)
	if err != nil {
		return err
	}
	return log.Extends(signed, v)
}

// verified shows the result of a verification.
func (t *tool) verified(name string, v client.Verification) error {
	if t.output == "json" {
		return t.json(v)
	}
	word := "sound"
	if !v.Sound {
		word = "NOT SOUND"
	}
	t.line("%s: %s, %d events, root %s", name, word, v.Events, v.Root)
	for _, p := range v.Problems {
		t.line("  %s", p)
	}
	return nil
}

// auditExport writes the audit trail of a target as JSON lines.
func auditExport(ctx context.Context, t *tool, args []string) error {
	c, target, _, err := t.trail(ctx, args, 0)
	if err != nil {
		return err
	}
	body, err := c.Export(ctx, target)
	if err != nil {
		return err
	}
	t.lasting()
	_, err = io.Copy(t.out, body)
	return errors.Join(err, body.Close())
}

// auditCheckpoint writes a signed checkpoint.
func auditCheckpoint(ctx context.Context, t *tool, args []string) error {
	c, target, _, err := t.trail(ctx, args, 0)
	if err != nil {
		return err
	}
	signed, err := c.Checkpoint(ctx, target)
	if err != nil {
		return err
	}
	_, err = t.out.Write(signed)
	return err
}

// auditProve writes the proof that an event is in the audit trail.
func auditProve(ctx context.Context, t *tool, args []string) error {
	c, _, rest, err := t.trail(ctx, args, 1)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(rest[len(rest)-1], 10, 64)
	if err != nil {
		return exit{wrongUse, fmt.Sprintf("%q is not the number of an event; ctl events shows them", rest[len(rest)-1])}
	}
	id, err := t.newest(ctx, c, rest[:len(rest)-1])
	if err != nil {
		return err
	}
	proof, err := c.Prove(ctx, id, seq)
	if err != nil {
		return err
	}
	return t.json(proof)
}

// trail parses the arguments of a command about the trail of a target.
func (t *tool) trail(ctx context.Context, args []string, more int) (*client.Client, string, []string, error) {
	rest, err := t.parse(t.flags("audit", ""), args, more, 1+more)
	if err != nil {
		return nil, "", nil, err
	}
	c, err := t.client()
	if err != nil {
		return nil, "", nil, err
	}
	target := ""
	if more == 0 {
		target, err = t.target(ctx, c, rest)
	}
	return c, target, rest, err
}
