package traffic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// listedModel is a model in a list, with the members that clients of OpenAI and of
// Anthropic expect.
type listedModel struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Type        string `json:"type"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// ModelList returns a handler that answers GET /v1/models with these names, and
// GET /v1/models/{name} with one of them, in the form of OpenAI and Anthropic. It is for
// gateways that offer other names than their servers, see [Backend].Model, and for
// patterns of [http.ServeMux] such as "GET /v1/models" and "GET /v1/models/". It reads the
// name from what follows "/models/" in the path. An unknown name is a 404.
func ModelList(names ...string) http.Handler {
	all := make([]listedModel, 0, len(names))
	for _, name := range names {
		all = append(all, listedModel{name, "model", 0, "serin", "model", name, "1970-01-01T00:00:00Z"})
	}
	first, last := "", ""
	if len(all) > 0 {
		first, last = all[0].ID, all[len(all)-1].ID
	}
	list := struct {
		Object  string        `json:"object"`
		Data    []listedModel `json:"data"`
		HasMore bool          `json:"has_more"`
		FirstID string        `json:"first_id"`
		LastID  string        `json:"last_id"`
	}{"list", all, false, first, last}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body any = list
		if _, name, _ := strings.Cut(r.URL.Path, "/models/"); name != "" {
			i := slices.IndexFunc(all, func(m listedModel) bool { return m.ID == name })
			if i < 0 {
				writeError(w, http.StatusNotFound, fmt.Sprintf("the model %q does not exist", name))
				return
			}
			body = all[i]
		}
		text, err := json.Marshal(body)
		if err != nil { // strings can be encoded
			panic(err)
		}
		writeJSON(w, http.StatusOK, string(text)+"\n")
	})
}
