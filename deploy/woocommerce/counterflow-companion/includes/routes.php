<?php
/**
 * What all routes share: who may call them, and what an argument must be.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const SPACE     = 'counterflow/v1';
const MOVED_MAX = 1000000000; // Of points or cents in one transaction: far above any shop's, far below what a sum can hold.
const PAGE_MAX  = 500;
const TIME_FORM = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$';

add_action( 'rest_api_init', __NAMESPACE__ . '\add_status_route' );
add_filter( 'woocommerce_rest_is_request_to_rest_api', __NAMESPACE__ . '\take_woocommerce_keys' );

/**
 * Add a route.
 *
 * @param string   $method   GET or POST.
 * @param string   $path     Its path below our namespace.
 * @param callable $callback Takes the request.
 * @param array    $args     Its arguments.
 */
function add_route( string $method, string $path, callable $callback, array $args = array() ): void {
	register_rest_route(
		SPACE,
		$path,
		array(
			'methods'             => $method,
			'callback'            => $callback,
			'permission_callback' => __NAMESPACE__ . '\may_sync',
			'args'                => $args,
		)
	);
}

/**
 * Say whether the caller has the right. WordPress answers 401 without a user, 403 to one without the right.
 */
function may_sync(): bool {
	return current_user_can( CAPABILITY );
}

/**
 * Let WooCommerce's keys in on our routes. WooCommerce itself then refuses to write with a key that may only read.
 *
 * Only where the address's path begins with ours: a key must not open anything else.
 *
 * @param bool $is_its_own Whether it is a request to WooCommerce's own API.
 */
function take_woocommerce_keys( $is_its_own ): bool {
	$address = isset( $_SERVER['REQUEST_URI'] ) ? esc_url_raw( wp_unslash( $_SERVER['REQUEST_URI'] ) ) : '';
	$path    = (string) wp_parse_url( $address, PHP_URL_PATH );
	$ours    = (string) wp_parse_url( home_url( rest_get_url_prefix() . '/' . SPACE . '/' ), PHP_URL_PATH );
	return $is_its_own || str_starts_with( $path, $ours );
}

/**
 * Add the route that says what there is.
 */
function add_status_route(): void {
	add_route( 'GET', '/status', __NAMESPACE__ . '\answer_status' );
}

/**
 * Answer `GET /status`.
 *
 * @return array|\WP_Error
 */
function answer_status() {
	$refusal = refuse_without_transactions();
	if ( $refusal ) {
		return $refusal;
	}
	return array(
		'version'     => VERSION,
		'features'    => FEEDS,
		'woocommerce' => has_woocommerce(),
		'currency'    => has_woocommerce() ? get_woocommerce_currency() : null,
	);
}

/**
 * Say whether WooCommerce is active.
 */
function has_woocommerce(): bool {
	return class_exists( 'WooCommerce' );
}

/**
 * Describe a whole number: a JSON integer, or its digits as a string.
 *
 * @param int  $min      The least.
 * @param int  $max      The greatest.
 * @param bool $is_moved Whether it is an amount to move, so that 0 makes no sense.
 */
function whole_number( int $min, int $max, bool $is_moved = false ): array {
	return array(
		'type'              => 'integer',
		'minimum'           => $min,
		'maximum'           => $max,
		'validate_callback' => static function ( $value, $request, $name ) use ( $is_moved ) {
			if ( ! is_int( $value ) && ! ( is_string( $value ) && preg_match( '/^-?[0-9]{1,18}$/D', $value ) ) ) {
				/* translators: %s: an argument's name. */
				return new \WP_Error( 'rest_invalid_type', sprintf( __( '%s must be a whole number.', 'counterflow-companion' ), $name ) );
			}
			if ( $is_moved && 0 === (int) $value ) {
				/* translators: %s: an argument's name. */
				return new \WP_Error( 'rest_invalid_param', sprintf( __( '%s must not be 0: nothing would move.', 'counterflow-companion' ), $name ) );
			}
			return rest_validate_request_arg( $value, $request, $name );
		},
		'sanitize_callback' => static fn( $value ) => (int) $value,
	);
}

/**
 * Describe an id.
 */
function id_argument(): array {
	return whole_number( 1, PHP_INT_MAX );
}

/**
 * Describe an amount that moves: not 0.
 */
function moved_argument(): array {
	return whole_number( -MOVED_MAX, MOVED_MAX, true ) + array( 'required' => true );
}

/**
 * Describe a reference: visible ASCII, so that the database compares it as the caller does.
 */
function reference_argument(): array {
	return array(
		'type'      => 'string',
		'required'  => true,
		'pattern'   => '^[!-~]+\z',
		'minLength' => 1,
		'maxLength' => 64,
	);
}

/**
 * Describe the reason: any text, for people.
 */
function reason_argument(): array {
	return array(
		'type'      => 'string',
		'default'   => '',
		'maxLength' => 200,
	);
}

/**
 * Describe a card's number: visible ASCII, in the body only.
 */
function number_argument(): array {
	return array(
		'type'              => 'string',
		'required'          => true,
		'pattern'           => '^[!-~]+\z',
		'minLength'         => 1,
		'maxLength'         => 32,
		'validate_callback' => static function ( $value, \WP_REST_Request $request, string $name ) {
			if ( array_key_exists( $name, $request->get_query_params() ) ) {
				return new \WP_Error( 'rest_invalid_param', __( 'A card\'s number belongs in the body: it is money, and addresses are logged.', 'counterflow-companion' ) );
			}
			return rest_validate_request_arg( $value, $request, $name );
		},
	);
}

/**
 * Describe the moment from which a card is no longer taken: UTC without a zone; null is never.
 */
function expires_argument(): array {
	return array(
		'type'              => array( 'string', 'null' ),
		'pattern'           => TIME_FORM,
		'validate_callback' => static function ( $value, $request, $name ) {
			$valid = rest_validate_request_arg( $value, $request, $name );
			if ( true === $valid && null !== $value && false === parse_time( $value ) ) {
				/* translators: %s: an argument's name. */
				return new \WP_Error( 'rest_invalid_date', sprintf( __( '%s is no time there is.', 'counterflow-companion' ), $name ) );
			}
			return $valid;
		},
		'sanitize_callback' => static fn( $value ) => $value,
	);
}

/**
 * Read a time; false where there is no such day or hour.
 *
 * @param string $value As 2027-01-31T00:00:00.
 */
function parse_time( string $value ): bool {
	$time = \DateTimeImmutable::createFromFormat( '!Y-m-d\TH:i:s', $value, new \DateTimeZone( 'UTC' ) );
	return $time && $time->format( 'Y-m-d\TH:i:s' ) === $value;
}

/**
 * Describe the arguments of a feed.
 */
function page_arguments(): array {
	return array(
		'after' => whole_number( 0, PHP_INT_MAX ) + array( 'default' => 0 ),
		'limit' => whole_number( 1, PAGE_MAX ) + array( 'default' => 100 ),
	);
}

/**
 * Give the error for a user who is not there.
 *
 * @param int $user The user's id.
 */
function no_user( int $user ): \WP_Error {
	/* translators: %d: a user's id. */
	return new \WP_Error( 'counterflow_no_user', sprintf( __( 'There is no user %d.', 'counterflow-companion' ), $user ), array( 'status' => 404 ) );
}

/**
 * Give the error for a reference that somebody else's transaction has.
 *
 * @param string $reference The reference.
 */
function reference_taken( string $reference ): \WP_Error {
	return new \WP_Error(
		'counterflow_reference_taken',
		/* translators: %s: a reference. */
		sprintf( __( 'The reference %s belongs to a transaction of another account.', 'counterflow-companion' ), $reference ),
		array( 'status' => 409 )
	);
}
