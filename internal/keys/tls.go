package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// TLSCertificate wraps a station's TLS key into a self-signed certificate.
// Peers pin the key that the card names and ignore everything else in it.
func TLSCertificate(priv ed25519.PrivateKey, name string, from, until time.Time) (tls.Certificate, error) {
	pub := priv.Public().(ed25519.PublicKey)
	serial := sha256.Sum256(pub)
	serial[0] &= 0x7f // positive, within the 20 bytes that RFC 5280 allows
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:16]),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    from,
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	// Ed25519 takes no randomness.
	der, err := x509.CreateCertificate(nil, t, t, pub, priv)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}, nil
}
