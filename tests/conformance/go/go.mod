module headwater/conformance

go 1.22

require github.com/cloudflare/cloudflare-go/v6 v6.6.0
