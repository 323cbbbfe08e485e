<?php
/**
 * A hint that something changed, signed as WooCommerce signs its own. It may be lost: the feeds say what happened.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const HINTS_MAX    = 20; // Of one request. More are not needed: a hint only says where to look.
const HINT_SECONDS = 1;

add_action( 'shutdown', __NAMESPACE__ . '\send_hints', PHP_INT_MAX );

/**
 * Remember to tell of a change at the end of this request.
 *
 * @param string $feed One of FEEDS.
 * @param int    $id   The transaction, or the user.
 */
function tell( string $feed, int $id ): void {
	if ( setting( 'hook_url' ) && setting( 'hook_secret' ) ) {
		hints( array( "$feed $id" => array( $feed, $id ) ) );
	}
}

/**
 * Take hints in, and give those there are.
 *
 * @param array $more New ones, by what they say; the same twice is one.
 */
function hints( array $more = array() ): array {
	static $kept = array();
	$kept        = array_slice( $kept + $more, 0, HINTS_MAX );
	return $kept;
}

/**
 * Send the hints. The visitor has his page by now, and nobody waits for the answers.
 */
function send_hints(): void {
	$hints = hints();
	if ( $hints && function_exists( 'fastcgi_finish_request' ) ) {
		fastcgi_finish_request();
	}
	foreach ( $hints as list( $feed, $id ) ) {
		$body = wp_json_encode( array( 'id' => $id ) );
		wp_remote_post(
			setting( 'hook_url' ),
			array(
				'blocking'    => false,
				'timeout'     => HINT_SECONDS,
				'redirection' => 0,
				'body'        => $body,
				'headers'     => array(
					'Content-Type'           => 'application/json',
					'X-WC-Webhook-Topic'     => "counterflow_$feed.changed",
					'X-WC-Webhook-Signature' => signature( $body, setting( 'hook_secret' ) ),
				),
			)
		);
	}
}

/**
 * Sign a body.
 *
 * @param string $body   The body.
 * @param string $secret The secret.
 */
function signature( string $body, string $secret ): string {
	return base64_encode( hash_hmac( 'sha256', $body, $secret, true ) ); // phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions.obfuscation_base64_encode -- WooCommerce's form.
}
