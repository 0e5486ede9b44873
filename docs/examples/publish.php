<?php
// Publishes messages to clients of a gateway. It needs no extension.
//
//   SLUICE_TOKEN=... php publish.php '{"uid":"ada","json":{"type":"paid","order":7}}' order-7-paid

// publish sends a message, or ["messages" => [...]], and returns the answer. It tries again with
// the same key when the gateway does not answer or is busy, so that nobody gets the message twice.
// It throws an exception when the gateway refuses the message.
function publish(array $body, string $key): array
{
    $url = (getenv('SLUICE_ADMIN') ?: 'http://127.0.0.1:9090') . '/api/v1/publish';
    $request = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Authorization: Bearer ' . getenv('SLUICE_TOKEN'),
            'Content-Type: application/json',
            'Idempotency-Key: ' . $key,
        ],
        'content' => json_encode($body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
        'ignore_errors' => true, // the body of an error says what is wrong
        'timeout' => 30,
    ]]);
    $problem = 'no answer';
    for ($attempt = 0; $attempt < 5; $attempt++) {
        $wait = 2 ** $attempt;
        $stream = @fopen($url, 'r', false, $request);
        if ($stream !== false) {
            $headers = stream_get_meta_data($stream)['wrapper_data'];
            $answer = json_decode(stream_get_contents($stream), true, 512, JSON_THROW_ON_ERROR);
            fclose($stream);
            $status = (int) explode(' ', $headers[0])[1];
            if ($status < 300) {
                return $answer;
            }
            $problem = $answer['detail'];
            if (!in_array($status, [409, 429, 503], true)) {
                break;
            }
            foreach ($headers as $header) {
                if (stripos($header, 'Retry-After:') === 0) {
                    $wait = (int) substr($header, strlen('Retry-After:'));
                }
            }
        }
        sleep($wait);
    }
    throw new RuntimeException($problem);
}

try {
    $answer = publish(json_decode($argv[1], true, 512, JSON_THROW_ON_ERROR), $argv[2]);
} catch (RuntimeException $e) {
    fwrite(STDERR, 'not published: ' . $e->getMessage() . "\n");
    exit(1);
}
echo json_encode($answer), "\n";
exit(empty($answer['failed']) ? 0 : 1);
