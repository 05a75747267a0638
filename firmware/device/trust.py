"""TLS contexts from the certificates on flash. Certificates and keys are EC P-256, in DER, made by the host."""

AUTHORITY = "ca.der"
CERTIFICATE = "client.der"
KEY = "client.key.der"


def context(client: bool = False, authority: "bytes | None" = None):
    """Trusts `authority` (DER; by default the file) and no other; with `client` shows the meter's own certificate.

    The clock must be right before this is used: certificates have dates. Raises ValueError, one line: a file that
    cannot be read or is not what it should be.
    """
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    trusted = _content(AUTHORITY) if authority is None else authority
    try:
        made.load_verify_locations(cadata=trusted)
    except (OSError, ValueError):
        raise ValueError("%s is not a certificate" % AUTHORITY)
    if client:
        certificate, key = _content(CERTIFICATE), _content(KEY)
        try:
            made.load_cert_chain(certificate, key)
        except (OSError, ValueError):
            raise ValueError("%s and %s are not a certificate and its key" % (CERTIFICATE, KEY))
    return made


def blind_context():
    """Trusts anybody. Only for fetching the authority's certificate, which is then compared with its known hash."""
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_NONE
    return made


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError("%s cannot be read (error %s)" % (path, error.errno))
