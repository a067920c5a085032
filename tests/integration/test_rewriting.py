"""rewrite, return, set, if, map, try_files, error_page and internal, compared with nginx.

What it shows: the same server block, given to BeamGate and to nginx, answers the same requests with the same status,
Location and body, and passes the same on to the application; and what nginx can't show: that bodies, methods and
limits are kept through internal redirects.
"""

import shutil
import tempfile
from pathlib import Path

import backend
import beamgate
import http_client
import nginx
from backend import Reply


def told(request):
    return Reply(int(request.header("X-Status", "200")),
                 f"{request.method} {request.target} {request.header('X-Tag', '-')} {request.text}",
                 {"X-From": "origin", "Content-Type": "text/plain"})


class Rewriting(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = Path(tempfile.mkdtemp(prefix="beamgate-files-"))
        cls.files.chmod(0o755)
        for name, text in {"file.txt": "a file", "dir/index.html": "an index", "404.html": "not here", "50x.html": "broken",
                           "a b.txt": "spaced", "index.php": "front", "errors/403.html": "forbidden"}.items():
            (cls.files / name).parent.mkdir(exist_ok=True)
            (cls.files / name).write_text(text)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.files)

    def both(self, server, http=""):
        """Functions that ask BeamGate and nginx, of one configuration."""
        origin = self.backend(told)
        dead = f"unix:{self.files}/nobody.sock"
        text = (server.replace("{origin}", f"http://{origin.address}").replace("{dead}", f"http://{dead}")
                .replace("{root}", str(self.files)))
        http = http.replace("{address}", origin.address)
        gateway = self.gateway(f"{http} server {{ listen 127.0.0.1:0; {text} }}", workers=1)
        peer = nginx.Nginx(f"{http} server {{ listen {{socket}}; {text} }}")
        self.addCleanup(peer.end)
        peer.start()
        return gateway.address(), peer.address

    def ask(self, address, method, target, headers=None, body=b""):
        response = http_client.request(address, method, target,
                                       headers={"Host": "example.org", **(headers or {})}, body=body)
        text = response.body.decode("latin-1")
        # The pages that a server makes of its own accord are its own.
        if text == f"{response.status} {response.reason}\n" or "<center>nginx" in text:
            text = "(own words)"
        if response.status in (301, 302, 303, 307, 308):
            text = ""
        return response.status, response.header("Location"), text, response.header("X-Set")

    def assert_same(self, server, requests, http=""):
        ours, theirs = self.both(server, http)
        for request in requests:
            request = (request,) if isinstance(request, str) else request
            method, target, *rest = request if len(request) > 1 else ("GET", request[0])
            with self.subTest(request=request):
                expected = self.ask(theirs, method, target, *rest)
                self.assertEqual(self.ask(ours, method, target, *rest), expected)

    def test_rewrites(self):
        self.assert_same("""
            rewrite ^/old/(.*)$ /new/$1;
            rewrite ^/gone$ https://elsewhere.test/x? permanent;
            rewrite ^/moved/(.*)$ /new/$1 redirect;
            rewrite ^/args$ /show?first=1;
            rewrite ^/noargs$ /show?first=1?;
            location /new/ { return 200 "new $uri $args $request_uri"; }
            location /show { return 200 "show $uri $args"; }
            location /inner/ { rewrite ^/inner/(.*)$ /new/$1 last; return 200 never; }
            location /stay/ { rewrite ^/stay/(.*)$ /new/$1 break; proxy_pass {origin}; }
            location /on/ { rewrite ^/on/(.*)$ /stay/$1; rewrite ^/stay/x(.*)$ /new/y$1; }
            location /loop/ { rewrite ^/loop/(.*)$ /loop/x$1 last; }
            location /query/ { rewrite ^/query/(.*)$ /show?q=$1 last; }
            location /away/ { rewrite ^/away/(.*)$ http://elsewhere.test/$1; }
            location / { return 404; }
            """, ["/old/a", "/old/a?x=1", "/old/%20a%2Fb", "/gone?x=1", "/moved/a%20b?x", "/args?y", "/noargs?y", "/args",
                  "/inner/a?b", "/stay/a%20b?c=d", "/on/a", "/on/xa", "/loop/a", "/query/a&b=c%20d", "/away/a%20b?q",
                  "/nothing", ("POST", "/stay/p", None, b"body"), ("HEAD", "/old/a"),
                  # What was encoded in the path stays part of it.
                  "/old/a%3Fadmin=1", "/old/a%3fadmin=1?x=2", "/stay/a%3Fb%23c%25", "/inner/q%3Fx?y=1", "/query/a%3Fb"])

    def test_returns_and_conditions(self):
        self.assert_same("""
            set $mine server;
            if ($http_x_block) { return 403; }
            if ($request_method = DELETE) { return 405 "no $request_method"; }
            location /text { return 200 "text $mine"; }
            location /set { set $mine "$mine and location"; if ($arg_x = 1) { set $mine x1; } return 200 $mine; }
            location /url { return 301 /text; }
            location /abs { return https://elsewhere.test$request_uri; }
            location /created { return 201 made; }
            location /match { if ($uri ~ "^/match/(?<first>[a-z]+)/([0-9]+)$") { return 200 "$first-$2"; } return 404; }
            location /case { if ($http_user_agent ~* curl) { return 200 curl; } if ($http_user_agent !~ B) { return 200 "no B"; }
                             return 200 other; }
            location /file { if (-f {root}$arg_f) { return 200 file; } if (-d {root}$arg_f) { return 200 directory; }
                             if (!-e {root}$arg_f) { return 200 none; } }
            location /added { if ($arg_y) { add_header X-Set $arg_y; } return 200 added; }
            location /chosen { if ($arg_to = origin) { proxy_pass {origin}; } return 200 here; }
            location /routed { if ($arg_to = origin) { proxy_pass {origin}; } root {root}; try_files /file.txt =404; }
            location /broken { set $a 1; break; set $a 2; return 200 never; }
            """, ["/text", ("DELETE", "/text"), ("GET", "/text", {"X-Block": "1"}), ("GET", "/text", {"X-Block": "0"}),
                  "/set", "/set?x=1", "/url", "/abs?q", "/created", "/match/abc/12", "/match/abc/x",
                  ("GET", "/case", {"User-Agent": "CURL/7"}), ("GET", "/case", {"User-Agent": "AB"}),
                  ("GET", "/case", {"User-Agent": "ab"}), "/file?f=/file.txt", "/file?f=/dir", "/file?f=/none",
                  "/added?y=1", "/added", "/chosen", "/routed?to=origin&x", "/routed", "/broken", ("POST", "/text", None, b"x")])

    def test_maps(self):
        self.assert_same("""
            location / { return 200 "$kind|$tenant|$chain"; }
            """, ["/", "/a.gif", "/a.GIF", "/deep/12/x", ("GET", "/", {"Host": "www.shop.test"}),
                  ("GET", "/", {"Host": "shop.test"}), ("GET", "/", {"Host": "api.any"}), "/?mode=On", "/?mode=off"],
            http=r"""
            map $uri $kind { default page; ~*\.gif$ image; "~^/deep/(?<number>\d+)/" "deep $number"; }
            map $host $tenant { hostnames; default none; .shop.test shop; api.* api; }
            map $arg_mode $chain { on "$kind and more"; default ""; }
            """)

    def test_try_files(self):
        self.assert_same("""
            root {root}; index index.html;
            location / { try_files $uri $uri/ /front?uri=$uri&$args; }
            location /front { return 200 "front $args"; }
            location /strict/ { alias {root}/; try_files $uri =404; }
            location /aliased/ { alias {root}/; rewrite ^/aliased/(.*)$ /$1 break; }
            location /status/ { try_files $uri =410; }
            location /named/ { try_files /none @application; }
            location /spaced { try_files "/a b.txt" =404; }
            location /page/ { try_files $uri /404.html; }
            location @application { proxy_pass {origin}; }
            """, ["/file.txt", "/dir/", "/dir", "/none?x=1", "/a%20b.txt", "/strict/file.txt", "/strict/none", "/strict/../file.txt",
                  "/aliased/file.txt", "/aliased/f",
                  "/status/x", "/named/x?y=1", ("POST", "/named/x", None, b"posted"), "/spaced", "/page/x",
                  ("HEAD", "/file.txt")])

    def test_error_pages(self):
        self.assert_same("""
            root {root};
            error_page 404 /404.html;
            error_page 500 502 503 504 /50x.html;
            error_page 403 =200 /errors/403.html;
            location / { }
            location = /404.html { internal; }
            location /dead { proxy_pass {dead}; }
            location /fallback { error_page 502 @application; proxy_pass {dead}; }
            location /replaced { error_page 404 = /shown; }
            location /shown { return 201 "shown $uri $args"; }
            location /status { error_page 404 =410 /404.html; }
            location /denied { deny all; }
            location /sent { error_page 404 https://elsewhere.test/; }
            location /sent301 { error_page 404 =301 /file.txt; }
            location /returned { return 503; }
            location /spoken { return 503 "in my words"; }
            location /missing { error_page 404 /no-such-page.html; }
            location /kept { proxy_pass {origin}; }
            location /caught { proxy_pass {origin}; proxy_intercept_errors on; }
            location /caught-named { error_page 500 = @application; proxy_pass {origin}; proxy_intercept_errors on;
                                     proxy_set_header X-Tag first; }
            location @application { proxy_pass {origin}; proxy_set_header X-Tag second; proxy_set_header X-Status 200; }
            """, ["/none", "/404.html", ("HEAD", "/none"), "/dead", "/fallback?x=1", "/replaced/x?y=1", "/status/x", "/denied",
                  "/sent/x", "/sent301/x", "/returned", "/spoken", "/missing/x", ("POST", "/none", None, b"x"),
                  ("GET", "/kept", {"X-Status": "404"}), ("GET", "/caught", {"X-Status": "404"}),
                  ("GET", "/caught", {"X-Status": "418"}), ("GET", "/caught-named/a?b", {"X-Status": "500"}),
                  ("POST", "/fallback", None, b"posted"), ("POST", "/denied", None, b"posted"),
                  ("GET", "/none", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "Range": "bytes=0-1"})])

    def test_errors_of_error_pages(self):
        self.assert_same("""
            error_page 404 /first;
            error_page 403 /second;
            location / { return 404; }
            location /first { return 403; }
            location /second { return 200 "second $uri"; }
            location /deep { recursive_error_pages on; error_page 404 /between; return 404; }
            location /between { recursive_error_pages on; error_page 403 =200 /last; return 403; }
            location /last { return 200 "last $uri"; }
            location /here { recursive_error_pages on; return 404; }
            location /there { error_page 404 /on; return 404; }
            location /on { recursive_error_pages on; error_page 403 /last; return 403; }
            """, ["/x", "/second", "/between", "/deep", "/here", "/there", "/on", ("POST", "/deep", None, b"posted")])

    def test_variables_of_proxy_pass(self):
        self.assert_same("""
            set $base app/base;
            location ~ ^/old/(?<rest>.*)$ { proxy_pass http://app/new/$rest; }
            location ~ ^/first/([a-z]*) { proxy_pass http://app/$1$is_args$args; }
            location /args { proxy_pass http://app/a$is_args$args; }
            location /raw { proxy_pass http://app$request_uri; }
            location /path { proxy_pass http://app$uri?x=$arg_x; }
            location /set { proxy_pass http://$base; }
            location /both { proxy_pass http://$base/more; }
            location /query { proxy_pass http://app?$args; }
            location /same/ { set $app app; proxy_pass http://$app; }
            location @named { proxy_pass http://app/named$uri; }
            location /to_named { error_page 418 = @named; return 418; }
            location /if { if ($arg_x) { proxy_pass http://app/if?$arg_x; } }
            location /rewritten { set $app app; rewrite ^/rewritten/(.*)$ /later/$1 break; proxy_pass http://$app; }
            location /both_ways { rewrite ^ /later break; proxy_pass http://app/is$uri; }
            location /mapped { proxy_pass http://$mapped; }
            location /host { proxy_pass http://$mapped; proxy_set_header X-Tag "$proxy_host $proxy_port"; }
            """, ["/old/a/b?c=d", "/old/", "/first/ab?x", "/first/?", "/args?a=b%20c", "/args", "/raw/%41?b", "/raw?", "/path/A?x=1",
                  "/set?a", "/set", "/both?a", "/query?a=b", "/query", "/same/%41?b", "/same/", "/to_named?x", "/if?x=1",
                  "/rewritten/a%20b?x=1", "/both_ways?x", "/mapped?to=app", "/mapped/x?to=app", "/host?to=app",
                  ("POST", "/mapped?to=app", None, b"posted"), ("POST", "/old/x", None, b"posted")],
            "upstream app { server {address}; } map $arg_to $mapped { default none; app app; }")

    def test_internal_locations_are_not_for_clients(self):
        self.assert_same("""
            location /secret/ { internal; return 200 secret; }
            location /open/ { rewrite ^/open/(.*)$ /secret/$1 last; }
            location /tried/ { try_files /none /secret/x; root {root}; }
            """, ["/secret/x", "/open/x", "/tried/x"])


class KeptThrough(beamgate.TestCase):
    def test_a_body_goes_to_the_fallback_as_it_came(self):
        origin = self.backend(lambda request: Reply(200))
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0; client_max_body_size 0;
            location / {{ try_files /none @app; root /nonexistent; }}
            location @app {{ proxy_pass http://{origin.address}; }} }}""", workers=1)
        body = bytes(range(256)) * 4096
        response = http_client.request(gateway.address(), "PUT", "/x", headers={"Host": "x"}, body=body)
        self.assertEqual(response.status, 200)
        self.assertEqual(origin.wait(path="/x").body, body)

    def test_limits_count_a_request_once(self):
        gateway = self.gateway("""limit_req_zone $binary_remote_addr zone=one:64k rate=1r/m;
            server { listen 127.0.0.1:0; limit_req zone=one burst=1 nodelay;
            location / { error_page 404 = /other; root /nonexistent; }
            location /other { rewrite ^ /last last; } location /last { return 200 "last $limit_req_status"; } }""", workers=1)
        answers = [http_client.request(gateway.address(), "GET", "/x", headers={"Host": "x"}) for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [200, 200, 503])

    def test_a_connection_is_kept_after_an_error_page(self):
        gateway = self.gateway("""server { listen 127.0.0.1:0; error_page 404 =200 /page; location /page { return 200 page; }
                                  location / { return 404; } }""", workers=1)
        with http_client.Connection(gateway.address()) as connection:
            for _ in range(3):
                connection.send(b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
                response = connection.read_response()
                self.assertEqual((response.status, response.text), (200, "page"))


if __name__ == "__main__":
    beamgate.main()
