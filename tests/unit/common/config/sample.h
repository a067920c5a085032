// A configuration that uses every directive, for tests that need one of everything.
#pragma once

#include <string_view>

namespace beamgate::config {

inline constexpr std::string_view kSample = R"conf(
user root root;
worker_processes 3;
worker_rlimit_nofile 4096;
worker_shutdown_timeout 10s;
worker_keeper off;
worker_sandbox off;
master_keeper off;
upgrade_trial 5s;
worker_watchdog 3s;
error_log logs/error.log warn;
pid run/b.pid;
daemon off;
master_process off;
working_directory work;
bus_queue 2m;
publication_max 32k;
history_memory 3m;
memory_limit 1g;
embedded_file /p/keys.json eyJrZXlzIjpbeyJrdHkiOiJvY3QiLCJrIjoiTURFeU16UTFOamM0T1dGaVkyUmxaZyJ9XX0=;
embedded_file /p/ca.pem
    LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJiekNDQVJXZ0F3SUJBZ0lVSjRRb01FVUhFeCtWN2lwQ0k5TEh4c0JIUlZvd0NnWUlL
    b1pJemowRUF3SXcKRERFS01BZ0dBMVVFQXd3QmVEQWdGdzB5TmpFeU1ERXdPREV6TURCYUdBOHlNVEkyTVRFd056QTRNVE13TUZvdwpEREVL
    TUFnR0ExVUVBd3dCZURCWk1CTUdCeXFHU000OUFnRUdDQ3FHU000OUF3RUhBMElBQkF4c1UwVnN3eS9CCnpIL2xuSjBvbjFCbnh1Zmx2a3F6
    M0RqNGpsVXhRNUpnQ2pEbGQ1S1BuRDY5Yld3Q1k3V0UvWEZxY3huaXJRTEgKSnVEb0VWNy9Nd09qVXpCUk1CMEdBMVVkRGdRV0JCVFhBTHdK
    aGNCbkoxUmJuRHJDdkI2RzZXZ25TVEFmQmdOVgpIU01FR0RBV2dCVFhBTHdKaGNCbkoxUmJuRHJDdkI2RzZXZ25TVEFQQmdOVkhSTUJBZjhF
    QlRBREFRSC9NQW9HCkNDcUdTTTQ5QkFNQ0EwZ0FNRVVDSUZMbUJWUEdOMlVQdXJLNzd2SXdFOFZ6anVwek5Od1UvT0JWcGRzSFJoRjQKQWlF
    QStIL3Nud1JtVmF2VVNxbUJWeEt0NFFENERvUlE0ZmNsdlFHa3I2SGFWeXM9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K;
events { worker_connections 77; connections_per_address 5; }
line {
    listen localhost:7000 backlog=9; listen unix:run/line.sock; room_prefix "chat room:"; line_max 1k; line_rate 5;
    line_send_queue 5k; line_slow_reader drop_oldest; line_idle_timeout 1h;
}
http {
    log_format json escape=json '{"uri":"$uri",' '"room":"$room"}';
    access_log logs/access.log json;
    access_log syslog:server=localhost,facility=local3,severity=notice,tag=edge,nohostname json if=$arg_log;
    types { text/html html htm; image/png png; }
    default_type application/octet-stream;
    set_real_ip_from 10.0.0.0/8;
    set_real_ip_from unix:;
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    underscores_in_headers on;
    limit_req_zone $binary_remote_addr zone=requests:64k rate=30r/m;
    limit_conn_zone $server_name$remote_addr zone=connections:1m;
    limit_req zone=requests burst=5 delay=2;
    limit_req_status 429; limit_req_log_level warn; limit_req_dry_run on;
    limit_conn connections 7;
    limit_conn_status 429; limit_conn_log_level info; limit_conn_dry_run on;
    limit_rate 100k; limit_rate_after 1m;
    client_max_body_size 2m;
    client_body_timeout 11s;
    client_header_timeout 12s;
    large_client_header_buffers 3 4k;
    client_header_fields_max 50;
    send_timeout 13s;
    keepalive_timeout 14s 12s;
    keepalive_requests 15;
    server_tokens off;
    tls_engine openssl;
    gzip on; gzip_types text/plain application/json; gzip_min_length 100; gzip_comp_level 6; gzip_vary on;
    gzip_proxied expired no-cache no-store private no_last_modified no_etag auth; gzip_http_version 1.0;
    gzip_disable msie6 "old{2}"; gzip_static on;
    http2 on; http2_max_concurrent_streams 50; http2_body_preread_size 32k;
    upstream app {
        server localhost:9001 weight=2 max_fails=3 fail_timeout=20s max_conns=8 slow_start=1m;
        server unix:run/app.sock backup;
        server 127.0.0.1 down;
        keepalive 7; keepalive_timeout 8s; keepalive_requests 9;
    }
    upstream ring {
        server localhost:9002 resolve; server 127.0.0.1:9003 resolve;
        hash $request_uri consistent;
        health_check uri=/up?x interval=2s timeout=500ms fails=3 passes=2 status=200-204 port=9009 fastcgi;
    }
    upstream lot { server 127.0.0.1; random two least_conn; }
    upstream few { server 127.0.0.1; least_conn; }
    upstream near { server 127.0.0.1; ip_hash; }
    resolver 127.0.0.1:5353 [::1] valid=10s ipv6=off; resolver_timeout 3s;
    webhook hook {
        url https://example.com/hook?a=b;
        unix_socket run/hook.sock;
        secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==;
        secret "plain ; text of secret";
        timeout 1s; connect_timeout 500ms; concurrency 2; queue 3; connection_queue 4; reply_max 5k;
        batch_max 6; batch_delay 7ms; event_queue 8; retry_delay 9ms; retry_delay_max 10s; retry_time 11m;
        grip on; grip_key "a key; of text"; grip_issuer me;
        breaker_failures 12; breaker_cooldown 13s; on_error allow; tls_verify off; tls_ca_file /p/ca.pem;
        forward_headers Cookie X-Tenant;
    }
    channels room.* {
        subscribe webhook; webhook hook; publish off; presence on; join_leave off; presence_limit 50;
        presence_leave_delay 3s; presence_webhook hook; history 100 10m; cache on; subscribers_max 9;
        rate 10r/s burst=20; conflate 250ms; slow_reader skip; wildcards on;
    }
    users { history 5 1h; presence_webhook hook; }
    webhook script {
        url http://example.com/hook; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==;
        fastcgi_pass localhost:9000; script_filename hook.php;
    }
    app shop {
        id 77; key bgkey01; secret "0123456789 abcdef"; client_events off; client_event_rate 3; subscription_count off;
        channel_prefix store/; connections_max 500;
        webhook hook; webhook_events channel_occupied client_event;
    }
    app till { id till-1; key tillkey; secret 0123456789abcdef; }
    token people {
        secret "thirty-two bytes or more, as it; ought"; secret "another that is long enough for HS256";
        jwks /p/keys.json; audience beamgate; issuer https://id.example.com; user_claim uid;
    }
    server {
        listen 127.0.0.1:8081 default_server backlog=100;
        listen [::1]:8081 ipv6only=off;
        listen unix:run/http.sock proxy_protocol;
        listen localhost:8082 http2;
        server_name example.com *.example.com www.example.* "~^(?<sub>.+)\.example\.org$" .example.net;
        add_header X-Frame "a \"quoted\" value; {}" always;
        location = /exact { return 200 "hello\n$remote_addr\ttab"; }
        location ^~ /static/ { alias files/; index a.html b.html; allow 10.0.0.0/8; allow ::1; deny all; }
        location /files { root www; location ~* "\.(?:gif|png){1}$" { access_log off; } }
        location /app/ {
            proxy_pass http://app/base/; proxy_set_header Host $host; proxy_set_header X-Sub "";
            proxy_connect_timeout 1s; proxy_send_timeout 2s; proxy_read_timeout 3s; proxy_buffer_size 8k;
            proxy_next_upstream error http_503 non_idempotent; proxy_next_upstream_tries 4;
            proxy_next_upstream_timeout 5s; proxy_http_version 1.0; proxy_request_buffering on;
            proxy_temp_path run/bodies; proxy_pass_trailers on; proxy_hide_header X-A; proxy_hide_header X-B;
            proxy_pass_header Server; proxy_redirect default; proxy_redirect http://a/ /$host/;
            proxy_cookie_domain a.example b.example; proxy_cookie_path /a /b;
            proxy_protocol v2;
        }
        location /direct { proxy_pass http://localhost:9100; proxy_next_upstream off; proxy_redirect off; }
        location /socket { proxy_pass http://unix:run/app.sock:/x; }
        location ~ "^/room/(?<room>[a-z]{1,5})$" {
            websocket raw; webhook hook; websocket_token people;
            websocket_subscribe room.$room all; websocket_subscribe user.$arg_user; websocket_publish room.$1;
            websocket_message_max 1k; websocket_send_queue 2k; websocket_slow_reader drop_oldest;
            websocket_rate connection 50r/s; websocket_rate user 60r/m burst=9 close; websocket_rate address 7r/s drop;
            websocket_ping_interval 1s; websocket_idle_timeout 2s; websocket_close_timeout 3s;
            websocket_origins https://example.com https://*.example.com; websocket_subprotocols chat.v1 chat.v2;
            websocket_deflate on; websocket_deflate_level 3; websocket_deflate_min 10;
            websocket_deflate_server_window_bits 10; websocket_deflate_client_window_bits 11;
            websocket_deflate_context_takeover off;
        }
        location = /echo { websocket echo; gzip_types *; gzip_proxied any; gzip_static always; }
        location ~ "\.php(?:/|$)" {
            fastcgi_pass unix:run/php.sock; fastcgi_split_path_info "^(.+\.php)(/.*)$"; fastcgi_index index.php;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info if_not_empty; fastcgi_param GATEWAY_INTERFACE CGI/1.1;
            fastcgi_connect_timeout 1s; fastcgi_send_timeout 2s; fastcgi_read_timeout 3s; fastcgi_buffer_size 8k;
            fastcgi_next_upstream error http_503; fastcgi_next_upstream_tries 4; fastcgi_next_upstream_timeout 5s;
            fastcgi_request_buffering off; fastcgi_temp_path run/bodies; fastcgi_hide_header X-Powered-By;
            fastcgi_pass_header X-Accel-Expires; fastcgi_keep_conn on; fastcgi_intercept_errors on;
            fastcgi_ignore_client_abort on; fastcgi_pass_request_headers off;
            fastcgi_pass_request_body off;
        }
        location /pool.php { fastcgi_pass app; fastcgi_param SCRIPT_FILENAME /srv$uri; }
        location /apps/ { pusher_api on; pusher_apps shop; }
        location ~ "^/events/(?<room>[a-z]{1,5})$" {
            sse room.$room all argument=channel; sse_origins https://example.com null; sse_credentials on;
            sse_keepalive 1s; sse_retry 3s; sse_send_queue 5k; sse_slow_reader drop_oldest;
            sse_token people;
        }
        location /poll {
            longpoll all argument=c; longpoll_timeout 2s; longpoll_publications 7; longpoll_origins https://*.example.com;
            longpoll_credentials on; longpoll_token people;
        }
        location /publish { grip_publish on; api_key 0123456789abcdef; }
        location /api { api on; api_key 0123456789abcdef; api_key "another ' key; here"; }
        location /status { status; }
        location /nginx_status { stub_status; }
        location /level { log_level_switch on; }
        location /metrics { metrics on; }
        location / { live_page on; }
        location /dashboard/ { dashboard on; dashboard_token 0123456789abcdef; dashboard_token fedcba9876543210; }
    }
    map $http_user_agent $kind { default plain; "~*bot (?<bot>\w+)" $bot; "odd;key" x; }
    map $host $tenant { hostnames; volatile; .example.com $kind; www.example.* w; }
    server {
        listen 8083;
        set $base /files$arg_x;
        if ($http_x_forwarded_proto = http) { return 301 https://$host$request_uri; }
        rewrite "^/old/(\d{2})$" /new/$1? last;
        error_page 404 /404.html; error_page 502 504 =200 @fallback; recursive_error_pages on;
        location /new/ {
            if ($request_method !~ ^(GET|HEAD)$) { return 405; }
            if (!-f $base) { proxy_pass http://app; break; }
            try_files $uri $uri/ /index.php?$args; root www; rewrite ^ /x break;
        }
        location = /404.html { internal; root www; try_files /errors$uri =404; }
        location @fallback { proxy_pass http://app; proxy_intercept_errors on; proxy_ignore_client_abort on; }
    }
    server { listen 8084; return 301 https://$host$request_uri; }
}
control unix:run/control.sock;
)conf";

}  // namespace beamgate::config
