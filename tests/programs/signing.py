"""Sign a request to another service, and presign one for a browser."""

import time

from smruntime_core import Credentials, Request, Scope, sign
from smruntime_core.signing import S3, presign

credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
request = Request("GET", "https://bucket.s3.eu-west-1.amazonaws.com/key")
signature = sign(request, credentials, Scope("eu-west-1", "s3"), now=time.time(), dialect=S3)
ready: Request = request.replace(headers=request.headers + signature.headers)
url = presign(request, credentials, Scope("eu-west-1", "s3"), now=time.time(), expires=60)
print(dict(ready.headers)["authorization"][:16], type(url).__name__)
