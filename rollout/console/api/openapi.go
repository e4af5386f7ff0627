package api

import (
	_ "embed"
)

// openAPI describes the API (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPI []byte

// describeAPI answers GET /openapi.json.
func (s *Server) describeAPI(*request) (*answer, error) {
	return &answer{raw: openAPI, kind: "application/json", etag: hashed(string(openAPI))}, nil
}
