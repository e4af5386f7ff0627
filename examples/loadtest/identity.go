package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
)

// identity has the files of one end of mutual TLS.
type identity struct{ cert, key, ca string }

// flags adds the flags of the files.
func (i *identity) flags(fs *flag.FlagSet, use string) {
	fs.StringVar(&i.cert, "cert", "", "a PEM `file` with the certificate of this machine, for "+use)
	fs.StringVar(&i.key, "key", "", "a PEM `file` with its private key")
	fs.StringVar(&i.ca, "ca", "", "a PEM `file` with the authorities that sign the certificates of the other machines")
}

// load reads the files. use is the flag that requires them.
func (i *identity) load(use string) (cert tls.Certificate, authorities *x509.CertPool, err error) {
	for _, f := range []struct{ name, value string }{{"-cert", i.cert}, {"-key", i.key}, {"-ca", i.ca}} {
		if f.value == "" {
			err = errors.Join(err, fmt.Errorf("%s requires %s, a PEM file", use, f.name))
		}
	}
	if err != nil {
		return cert, nil, err
	}
	if cert, err = tls.LoadX509KeyPair(i.cert, i.key); err != nil {
		return cert, nil, fmt.Errorf("-cert %s with -key %s: %w", i.cert, i.key, err)
	}
	pem, err := os.ReadFile(i.ca)
	if err != nil {
		return cert, nil, fmt.Errorf("-ca: %w", err)
	}
	authorities = x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return cert, nil, fmt.Errorf("-ca %s: no certificate in it, want PEM blocks of type CERTIFICATE", i.ca)
	}
	return cert, authorities, nil
}
