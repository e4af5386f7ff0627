package haproxy

import "testing"

func FuzzParseState(f *testing.F) {
	f.Add("1\n# be_name srv_name srv_admin_state srv_uweight\nchat blue 0 5\n")
	f.Add("# pxname,svname,cookie,mode,algo,\nchat,BACKEND,,http,roundrobin,\n")
	f.Fuzz(func(t *testing.T, answer string) {
		if found, err := parseState(answer, "chat"); err == nil && found == nil {
			t.Error("neither servers nor an error")
		}
		_, _ = parseStat(answer)
	})
}
