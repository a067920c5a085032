<?php
// A chat room behind BeamGate, in plain PHP.
//
// BeamGate holds the WebSockets; this script only answers HTTP requests and keeps no state:
//
//   beamgate.connect        May this connection open?  We name its user and put it into a room.
//   beamgate.message        A line was typed.  We answer the sender, or publish to the room.
//   beamgate.connected,     News, in batches.  Nobody waits for our answer, so what we have to say about
//   beamgate.disconnected   them goes the other way, through BeamGate's HTTP API.
//
// Run it with:  PHP_CLI_SERVER_WORKERS=4 php -S 127.0.0.1:9000 chat.php
// and beside it:  beamgate -p . -c beamgate.conf     (php-fpm: beamgate-fpm.conf)
declare(strict_types=1);

// The same as in beamgate.conf; two secrets, separated by a space, while one replaces the other.
define('SECRETS', explode(' ', getenv('BEAMGATE_SECRETS') ?: 'whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ=='));
define('API', getenv('BEAMGATE_API') ?: 'http://127.0.0.1:8080/api');
define('API_KEY', getenv('BEAMGATE_API_KEY') ?: 'example-key-change-it-in-both');
const TOLERANCE_S = 300;
const NAME = '/^[A-Za-z0-9_-]{1,32}$/D';

function field(string $name): string
{
    $key = strtoupper(strtr($name, '-', '_'));
    return $_SERVER["HTTP_$key"] ?? $_SERVER[$key] ?? '';
}

// Standard Webhooks: an HMAC over id, time and body; compared in constant time.
function is_genuine(string $body): bool
{
    $stamp = field('webhook-timestamp');
    if (!ctype_digit($stamp) || abs(time() - (int) $stamp) > TOLERANCE_S) {
        return false;
    }
    $signed = field('webhook-id') . ".$stamp.$body";
    foreach (SECRETS as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
        foreach (explode(' ', field('webhook-signature')) as $offered) {
            if (hash_equals($expected, $offered)) {
                return true;
            }
        }
    }
    return false;
}

function call_api(string $method, string $body, string $type): array
{
    $options = ['method' => 'POST', 'timeout' => 5, 'content' => $body,
        'header' => ["Content-Type: $type", 'X-API-Key: ' . API_KEY]];
    $answer = file_get_contents(API . "/$method", false, stream_context_create(['http' => $options]));
    return json_decode($answer ?: '', true, 32, JSON_THROW_ON_ERROR)['result'];
}

function publish(string $room, string $line): void
{
    call_api("publish?channel=$room", $line, 'text/plain');
}

function count_of(string $room): int
{
    $found = call_api('channels', json_encode(['pattern' => $room]), 'application/json');
    return $found['channels'][$room]['num_clients'];
}

function text(int $status, string $body): void
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    echo $body;
}

function actions(array $document): void
{
    header('Content-Type: application/vnd.beamgate+json');
    echo json_encode($document, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
}

// Who is this?  Any 4xx refuses the connection.
function on_connect(string $uri): void
{
    parse_str((string) parse_url($uri, PHP_URL_QUERY), $query);
    $name = (string) ($query['name'] ?? '');
    $room = (string) ($query['room'] ?? 'lobby');
    if (!preg_match(NAME, $name) || !preg_match(NAME, $room)) {
        text(403, "a name and a room have 1 to 32 letters, digits, - or _\n");
        return;
    }
    actions(['user' => $name, 'state' => $room, 'subscribe' => [$room], 'send' => ["* welcome to $room, $name"]]);
}

function on_message(string $user, string $room, string $line): void
{
    if ($line === '/who') {
        text(200, "* you are $user, one of " . count_of($room) . " in $room");
    } elseif (str_starts_with($line, '/me ')) {
        actions(['publish' => [['channel' => $room, 'data' => "* $user " . substr($line, 4)]]]);
    } elseif (str_starts_with($line, '/')) {
        text(200, '* there is /me and /who');
    } else {
        actions(['publish' => [['channel' => $room, 'data' => "$user: $line"]]]);
    }
}

function on_events(array $events): void
{
    $verbs = ['beamgate.connected' => 'joined', 'beamgate.disconnected' => 'left'];
    foreach ($events as $event) {
        $room = $event['beamgatestate'] ?? '';
        if (isset($verbs[$event['type']]) && $room !== '') {
            publish($room, "* {$event['beamgateuser']} {$verbs[$event['type']]}");
        }
    }
    http_response_code(204);
}

function main(): void
{
    $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    if ($_SERVER['REQUEST_METHOD'] === 'GET' && $path === '/') {
        header('Content-Type: text/html; charset=utf-8');
        readfile(__DIR__ . '/../chat.html');
        return;
    }
    $body = file_get_contents('php://input');
    if ($path !== '/beamgate' || !is_genuine($body)) {
        text(403, "not from BeamGate\n");
        return;
    }
    if (str_starts_with(field('content-type'), 'application/cloudevents-batch+json')) {
        on_events(json_decode($body, true, 32, JSON_THROW_ON_ERROR));
        return;
    }
    match (field('ce-type')) {
        'beamgate.connect' => on_connect(field('beamgate-uri')),
        'beamgate.message' => on_message(field('beamgate-user'), field('beamgate-state'), $body),
        default => http_response_code(204),
    };
}

main();
