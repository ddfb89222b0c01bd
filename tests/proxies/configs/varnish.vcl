vcl 4.1;
backend service { .host = "127.0.0.1"; .port = "@upstream@"; }
sub vcl_backend_response { set beresp.grace = 0s; }
@more@
