<?php
/**
 * Which customers changed or were deleted, and the welcome mail on demand.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

add_action( 'rest_api_init', __NAMESPACE__ . '\add_customer_routes' );
foreach ( array( 'user_register', 'profile_update', 'set_user_role', 'add_user_role', 'remove_user_role', 'woocommerce_new_customer', 'woocommerce_update_customer' ) as $event ) {
	add_action( $event, __NAMESPACE__ . '\note_change' );
}
add_action( 'deleted_user', __NAMESPACE__ . '\note_deletion', 10, 3 );

/**
 * Add the routes.
 */
function add_customer_routes(): void {
	add_route( 'GET', '/customers/changes', __NAMESPACE__ . '\answer_customer_changes', page_arguments() );
	add_route( 'POST', '/customers/(?P<user>[0-9]{1,18})/send-welcome', __NAMESPACE__ . '\answer_send_welcome', array( 'user' => id_argument() ) );
}

/**
 * Say whether a user is a customer: anybody but those who run the shop.
 *
 * @param \WP_User $user The user.
 */
function is_customer( \WP_User $user ): bool {
	$runs_it = $user->has_cap( 'edit_posts' ) || $user->has_cap( CAPABILITY );
	/**
	 * Lets a shop say who is a customer, where its roles are others.
	 *
	 * @param bool     $is_customer What we think.
	 * @param \WP_User $user        The user.
	 */
	return (bool) apply_filters( 'counterflow_is_customer', ! $runs_it, $user );
}

/**
 * Note that a user was made or changed. At once, not at the end: a reader who comes between two changes must hear of the second.
 *
 * @param int $user The user.
 */
function note_change( $user ): void {
	$data = get_userdata( (int) $user );
	if ( $data && is_customer( $data ) ) {
		note_customer( $data->ID, false );
	}
}

/**
 * Note that a user was deleted.
 *
 * @param int           $user     The user.
 * @param int|null      $reassign Who has his posts now.
 * @param \WP_User|null $data     The user as he was.
 */
function note_deletion( $user, $reassign, $data = null ): void {
	if ( ! $data instanceof \WP_User || is_customer( $data ) ) {
		note_customer( (int) $user, true );
	}
}

/**
 * Note a customer's newest change; an older one of his is forgotten.
 *
 * @param int  $user       The user.
 * @param bool $is_deleted Whether he is gone.
 */
function note_customer( int $user, bool $is_deleted ): void {
	$work   = static function ( int $id ) use ( $user, $is_deleted ): array {
		global $wpdb;
		run(
			$wpdb->prepare(
				'INSERT INTO ' . table( 'customers' ) . ' (user_id, id, is_deleted, changed_gmt) VALUES (%d, %d, %d, UTC_TIMESTAMP())
				ON DUPLICATE KEY UPDATE id = VALUES(id), is_deleted = VALUES(is_deleted), changed_gmt = VALUES(changed_gmt)',
				$user,
				$id,
				(int) $is_deleted
			)
		);
		return array( 'id' => $id );
	};
	$answer = write_in_feed( 'customers', $work );
	if ( is_array( $answer ) ) {
		tell( 'customers', $user );
	}
}

/**
 * Answer `GET /customers/changes`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_customer_changes( \WP_REST_Request $request ) {
	global $wpdb;
	$rows = read_rows(
		$wpdb->prepare( 'SELECT * FROM ' . table( 'customers' ) . ' WHERE id > %d ORDER BY id LIMIT %d', $request['after'], $request['limit'] )
	);
	return page_of(
		$rows,
		$request['after'],
		static fn( array $row ) => array(
			'id'          => (int) $row['id'],
			'user'        => (int) $row['user_id'],
			'deleted'     => (bool) $row['is_deleted'],
			'changed_gmt' => time_of( $row['changed_gmt'] ),
		)
	);
}

/**
 * Answer `POST /customers/{user}/send-welcome`.
 *
 * It is claimed before it is sent: killed in between it is not sent, but nobody ever gets two.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_send_welcome( \WP_REST_Request $request ) {
	global $wpdb;
	$user = $request['user'];
	if ( ! get_userdata( $user ) ) {
		return no_user( $user );
	}
	$claimed = $wpdb->query( $wpdb->prepare( 'INSERT IGNORE INTO ' . table( 'welcomes' ) . ' (user_id, sent_gmt) VALUES (%d, UTC_TIMESTAMP())', $user ) );
	if ( false === $claimed ) {
		return as_error( trouble_now() );
	}
	$error = $claimed ? send_welcome( $user ) : null;
	if ( $error ) {
		$wpdb->delete( table( 'welcomes' ), array( 'user_id' => $user ), array( '%d' ) );
		return $error;
	}
	return array(
		'user'    => $user,
		'sent'    => (bool) $claimed,
		'already' => ! $claimed,
	);
}

/**
 * Send the mail that a new customer gets, with a link to set a password.
 *
 * @param int $user Whom.
 * @return \WP_Error|null What went wrong.
 */
function send_welcome( int $user ): ?\WP_Error {
	$failed  = null;
	$failure = static function ( \WP_Error $error ) use ( &$failed ): void {
		$failed = $error;
	};
	add_action( 'wp_mail_failed', $failure );
	if ( has_woocommerce() ) {
		$mailer = WC()->mailer();
		$mails  = $mailer->get_emails();
		if ( empty( $mails['WC_Email_Customer_New_Account'] ) || ! $mails['WC_Email_Customer_New_Account']->is_enabled() ) {
			$failed = new \WP_Error( 'off' );
		} else {
			$mailer->customer_new_account( $user, array(), true );
		}
	} else {
		wp_new_user_notification( $user, null, 'user' );
	}
	remove_action( 'wp_mail_failed', $failure );
	if ( ! $failed ) {
		return null;
	}
	return 'off' === $failed->get_error_code()
		? new \WP_Error( 'counterflow_mail_off', __( 'WooCommerce\'s mail for new accounts is off. Switch it on.', 'counterflow-companion' ), array( 'status' => 409 ) )
		: new \WP_Error( 'counterflow_mail_failed', __( 'WordPress could not send the mail.', 'counterflow-companion' ), array( 'status' => 500 ) );
}
